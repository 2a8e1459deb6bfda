"""Tensors of a safetensors file, each mapped from the disk on its own.

A tensor costs memory once its values are read, and gives it back as soon as nobody holds it, so
a model of 6 GB can be turned into 3 GB without ever taking 9. (The safetensors library maps the
file once for all tensors: what was read stays until the last of them goes.)
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuillm.errors import TuillmError

# bfloat16 is unknown to NumPy: its bits are mapped as whole numbers and seen as what they are
_DTYPES = {
    "F64": (np.float64, None), "F32": (np.float32, None), "F16": (np.float16, None),
    "BF16": (np.int16, torch.bfloat16), "I64": (np.int64, None), "I32": (np.int32, None),
    "U8": (np.uint8, None), "I8": (np.int8, None), "BOOL": (np.bool_, None),
}
_LONGEST_HEADER = 100_000_000  # as the format's own library has it


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; raises TuillmError when it is damaged."""
    try:
        header, start = _read_header(path)
        return {name: _map_tensor(path, start, entry) for name, entry in header.items()
                if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TuillmError(f"{path} is damaged: {error}") from None


def map_tensor(path: Path, name: str) -> Tensor:
    """Return one tensor of a file, in a mapping of its own; raises KeyError for another name."""
    header, start = _read_header(path)
    return _map_tensor(path, start, header[name])


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return where each tensor lies, counted from the second value on."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(path.stat().st_size, _LONGEST_HEADER):
            raise ValueError("cut short")
        header = json.loads(file.read(length))
    return header, 8 + length


def _map_tensor(path: Path, start: int, entry: dict[str, Any]) -> Tensor:
    kind, seen_as = _DTYPES[entry["dtype"]]
    first, last = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if first < 0 or last - first != math.prod(shape) * np.dtype(kind).itemsize:
        raise ValueError(f"a tensor of shape {list(shape)} has {last - first} bytes")
    if first == last:
        tensor = torch.zeros(shape)
    else:
        # copy on write: PyTorch wants memory it could write to, the file stays as it is
        array = np.memmap(path, dtype=kind, mode="c", offset=start + first, shape=shape or (1,))
        tensor = torch.from_numpy(array.view(np.ndarray)).view(shape)
    return tensor if seen_as is None else tensor.view(seen_as)
