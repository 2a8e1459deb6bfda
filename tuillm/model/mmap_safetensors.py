"""Tensors of a safetensors file, each mapped from the disk on its own.

A large tensor costs memory once its values are read, and gives it back as soon as nobody holds it,
so a model of 6 GB can be turned into 3 GB without ever taking 9. (The safetensors library maps the
file once for all tensors: what was read stays until the last of them goes.)
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from tuillm.errors import TuillmError
from tuillm.formats.safetensors_header import StoredTensor, read_header

_SMALL = 1 << 20
_PIECE = 8 << 20
# bfloat16 is unknown to NumPy: its bits are mapped as whole numbers and seen as what they are
_DTYPES = {
    "F64": (np.float64, None),
    "F32": (np.float32, None),
    "F16": (np.float16, None),
    "BF16": (np.int16, torch.bfloat16),
    "I64": (np.int64, None),
    "I32": (np.int32, None),
    "I16": (np.int16, None),
    "I8": (np.int8, None),
    "U8": (np.uint8, None),
    "BOOL": (np.bool_, None),
}


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of a file by name, each mapped anew when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the header; raises TuillmError when the file is damaged, here and later."""
        self._path = path
        try:
            self._stored = read_header(path)
        except OSError as error:
            raise TuillmError(f"{path} is damaged: {error}") from None

    def __getitem__(self, name: str) -> Tensor:
        return self._map(self._stored[name])

    def pieces(self, name: str) -> Iterator[Tensor]:
        """Yield the rows of a matrix, some megabytes of them at a time, each piece mapped anew."""
        stored = self._stored[name]
        rows = stored.shape[0]
        width = (stored.end - stored.start) // max(rows, 1)  # bytes of a row
        count = max(1, _PIECE // max(width, 1))
        for first in range(0, rows, count):
            last = min(first + count, rows)
            start, end = stored.start + first * width, stored.start + last * width
            shape = [last - first, *stored.shape[1:]]
            yield self._map(StoredTensor(stored.dtype, shape, start, end))

    def _map(self, stored: StoredTensor) -> Tensor:
        try:
            return _map_tensor(self._path, stored)
        except (OSError, ValueError, OverflowError) as error:
            raise TuillmError(f"{self._path} is damaged: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; raises TuillmError when it is damaged."""
    return dict(StoredTensors(path))


def map_array(path: Path, kind: DTypeLike, start: int, count: int) -> NDArray[np.generic]:
    """Return `count` numbers of a file from byte `start` on, mapped; a few are read.

    Every mapping keeps its file open, and a process may hold some thousand. Raises ValueError or
    OSError where the file does not have them.
    """
    if count * np.dtype(kind).itemsize < _SMALL:
        array = np.fromfile(path, kind, count, offset=start)
        if len(array) < count:
            raise ValueError("it is cut short")
        return array
    # copy on write: PyTorch wants memory it could write to, the file stays as it is
    return np.memmap(path, kind, "c", start, (count,)).view(np.ndarray)


def _map_tensor(path: Path, stored: StoredTensor) -> Tensor:
    kind, seen_as = _DTYPES[stored.dtype]
    shape = tuple(stored.shape)
    array: NDArray[np.generic]
    if stored.start == stored.end:
        array = np.zeros(shape, kind)  # nothing cannot be mapped
    else:
        array = map_array(path, kind, stored.start, math.prod(shape))
    tensor = torch.from_numpy(array).view(shape)
    return tensor if seen_as is None else tensor.view(seen_as)
