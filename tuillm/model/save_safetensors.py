"""Tensors written as a safetensors file that is like other files: its mode and its errors.

Knows files; knows nothing of what the tensors are.
"""

import errno
import os
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file, as readable as any new file; raises OSError as the disk does."""
    path.touch()
    mode = path.stat().st_mode & 0o777  # the library makes a file that only its owner can read
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        # what the disk said, which the library has put into words
        told = re.search(r"os error (\d+)", str(error))
        number = int(told[1]) if told else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from None
    path.chmod(mode)
