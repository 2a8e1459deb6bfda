"""Weights in PyTorch's own files, read without running anything that stands in them.

Such a file is a pickle, which may name code to run. Only tensors and plain values are taken
from one; a file that asks for more is refused. Knows nothing of what the tensors mean.
"""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from tuillm.errors import TuillmError

_NAMED = re.compile(r"(?:GLOBAL|class|global) ['\"]?([\w.]+\.\w+)")


def read_pickled(path: Path) -> dict[str, Any]:
    """Return the dictionary of tensors and plain values in a file that torch.save wrote.

    Tensors lie in the file, mapped, where its format allows. Raises TuillmError for a file that
    is cut short, is none, or holds anything that only running its code would restore.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True,
                           mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # a file from anywhere can fail in any way
        raise _refusal(path, error) from None
    if not isinstance(found, dict):
        raise TuillmError(f"{path} holds no model: a {type(found).__name__}, not a dictionary")
    return found


def _refusal(path: Path, error: Exception) -> TuillmError:
    named = _NAMED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if named:
        return TuillmError(f"{path} asks for {named[1]}, which would run code from the file; "
                           "tuillm never does", "convert it to safetensors where you trust it")
    return TuillmError(f"{path} is damaged, or no file of PyTorch")
