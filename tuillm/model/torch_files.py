"""Weights in PyTorch's own files, read without running anything that stands in them.

Such a file is a pickle that tells of tensors, and their bytes: in a zip archive beside it, or in
the format of 2019 behind it. Only tensors and plain values are taken from one, and no more bytes
than it has; a file that asks for more is refused. Knows nothing of what the tensors mean.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import MB
from tuillm.formats.pickle_values import Forbidden, Named, PickleValue, read_pickle
from tuillm.model.mmap_safetensors import map_array

# a pickle, or the directory of an archive; GPT-2 XL with its optimizer has a tenth of it
_LONGEST = 4 * MB
_ZIP = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C  # the first number in files of 2019
# as numpy maps them, and what PyTorch then sees in the bytes
_STORAGES: dict[str, tuple[np.dtype[np.generic], torch.dtype | None]] = {
    "FloatStorage": (np.dtype(np.float32), None),
    "HalfStorage": (np.dtype(np.float16), None),
    "DoubleStorage": (np.dtype(np.float64), None),
    "BFloat16Storage": (np.dtype(np.int16), torch.bfloat16),
    "LongStorage": (np.dtype(np.int64), None),
    "IntStorage": (np.dtype(np.int32), None),
    "ShortStorage": (np.dtype(np.int16), None),
    "CharStorage": (np.dtype(np.int8), None),
    "ByteStorage": (np.dtype(np.uint8), None),
    "BoolStorage": (np.dtype(np.bool_), None),
}
_EMPTY = ("collections.OrderedDict", "collections.defaultdict")
# what else a plain file calls: values that no weights need, so nothing stands in their place
_IGNORED = (
    "torch.Size",
    "torch.device",
    "_codecs.encode",
    "__builtin__.complex",
    "builtins.complex",
    "__builtin__.set",
    "builtins.set",
)
_MOST_DIMENSIONS = 16


@dataclass(frozen=True)
class _Storage:
    """Numbers of one kind, `count` of them, under a key of the file."""

    key: str
    kind: str
    count: int

    @property
    def itemsize(self) -> int:
        """How many bytes a number takes."""
        return _STORAGES[self.kind][0].itemsize


@dataclass(frozen=True)
class _Described:
    """A tensor as a pickle tells of it; shape and strides are in numbers of its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many bytes it takes by itself."""
        return math.prod(self.shape) * self.storage.itemsize


class Pickled:
    """A file that torch.save wrote: its plain `values`, with tensors still only described."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises TuillmError for one that is damaged, unsafe or no file of torch."""
        self.path = path
        self._storages: dict[str, _Storage] = {}
        self._offsets: dict[str, int] = {}  # where the bytes of a storage begin
        try:
            if not path.is_file() and path.exists():  # a pipe would be waited for
                raise TuillmError(f"{path} is no file")
            with path.open("rb") as file:
                zipped = file.read(len(_ZIP)) == _ZIP
            self.values: PickleValue = self._archive() if zipped else self._of_2019()
        except OSError as error:
            raise TuillmError(f"cannot read {path}: {error.strerror or error}") from None
        except Forbidden as error:
            raise TuillmError(
                f"{path} asks for {error.named}, which would run code from the file; tuillm never "
                "does",
                "convert it to safetensors where you trust it",
            ) from None
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
        ):
            raise self._damaged from None
        if not isinstance(self.values, dict):
            raise TuillmError(
                f"{path} holds no model: a {type(self.values).__name__}, not a dictionary"
            )

    def tensors(self, values: Mapping[object, object]) -> dict[str, Tensor]:
        """Return the tensors among `values`, a dictionary of this file, mapped where that is.

        Raises TuillmError for tensors that the file has not the bytes of.
        """
        found = {str(key): value for key, value in values.items() if isinstance(value, _Described)}
        # twice: a head that is tied stands under two names
        if sum(value.size for value in found.values()) > 2 * self.path.stat().st_size:
            raise TuillmError(f"{self.path} is damaged: its tensors are larger than the file")
        try:
            return {key: self._tensor(value) for key, value in found.items()}
        except (ValueError, LookupError, TypeError, OverflowError, OSError, RuntimeError):
            raise self._damaged from None

    def number(self, value: object) -> float | None:
        """Return a number of this file, a tensor of a single one included, else None."""
        if isinstance(value, _Described) and math.prod(value.shape) == 1:
            value = float(self.tensors({"": value})[""].reshape(()))
        return value if isinstance(value, float) else None

    @property
    def _damaged(self) -> TuillmError:
        return TuillmError(f"{self.path} is damaged, or no file of PyTorch")

    def _archive(self) -> PickleValue:
        """Read the pickle of a zip archive, and where its tensors' bytes lie."""
        with _Sparing(io.FileIO(self.path)) as file, zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            (main,) = (name for name in entries if name.endswith("/data.pkl"))
            folder = main.removesuffix("data.pkl")
            order = entries.get(f"{folder}byteorder")
            if order and _stored(archive, order) != b"little":
                raise ValueError("its bytes are the other way round")
            values = read_pickle(io.BytesIO(_stored(archive, entries[main])), _call, self._take)
            for key in self._storages:
                self._offsets[key] = _begin(file, entries[f"{folder}data/{key}"])
        return values

    def _of_2019(self) -> PickleValue:
        """Read a file of pickles one after the other, behind which the tensors' bytes lie."""
        with self.path.open("rb") as file:
            content = io.BytesIO(file.read(_LONGEST))
            if read_pickle(content) != _MAGIC:
                raise ValueError("no magic number")
            for _ in ("version of the format", "machine it was written on"):
                read_pickle(content)
            values = read_pickle(content, _call, self._take)
            keys, offset = read_pickle(content), content.tell()
            for key in keys:  # each begins with how many numbers it has
                self._offsets[key] = offset + 8
                offset += 8 + self._storages[key].count * self._storages[key].itemsize
        return values

    def _take(self, told: PickleValue) -> _Storage:
        """Make a storage of what a pickle tells of one."""
        what, kind, key, _, count, *view = told
        if what != "storage" or not isinstance(kind, Named) or any(view) or not _is_size(count):
            raise ValueError("no storage")
        if kind.module != "torch" or kind.name not in _STORAGES:
            raise TuillmError(
                f"{self.path} has numbers of the kind {kind}, which tuillm does not read"
            )
        storage = self._storages[str(key)] = _Storage(str(key), kind.name, count)
        return storage

    def _tensor(self, told: _Described) -> Tensor:
        """Map a tensor; what does not lie on a border of its numbers is copied."""
        kind, seen_as = _STORAGES[told.storage.kind]
        begin, count = self._offsets[told.storage.key], told.storage.count
        if not math.prod(told.shape):
            return torch.zeros(told.shape)
        last = told.offset + sum(
            (size - 1) * step for size, step in zip(told.shape, told.strides, strict=True)
        )
        if last >= count or math.prod(told.shape) > count:
            raise ValueError("it goes beyond its storage")
        array = map_array(self.path, kind, begin, count)
        if begin % array.itemsize:
            array = np.array(array)
        flat = torch.from_numpy(array)
        flat = flat if seen_as is None else flat.view(seen_as)
        return flat.as_strided(told.shape, told.strides, told.offset)


class _Sparing(io.BufferedReader):
    """A file that reads no more at once than the directory of an honest archive takes.

    Of a dishonest one the library would read, and make objects of, all that it claims to be.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return super().read(_LONGEST)
        if size > _LONGEST:
            raise ValueError("its directory is too large")
        return super().read(size)


def _call(what: Named, arguments: tuple[PickleValue, ...]) -> PickleValue:
    """Return what a file may call: tensors, empty dictionaries, and values that are not needed."""
    name = str(what)
    if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        storage, offset, shape, strides = arguments[:4]
        numbers = (offset, *shape, *strides)
        if (
            not isinstance(storage, _Storage)
            or len(numbers) > 1 + 2 * _MOST_DIMENSIONS
            or not all(map(_is_size, numbers))
        ):
            raise ValueError("no tensor")
        return _Described(storage, offset, shape, strides)
    if name == "torch._utils._rebuild_parameter":
        return arguments[0]
    if name in _EMPTY and not any(isinstance(each, list) for each in arguments):
        return {}
    if name in _IGNORED:
        return None
    raise Forbidden(name)


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 48


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a part of an archive; PyTorch compresses none, and bombs are compressed."""
    if entry.compress_type or max(entry.file_size, entry.compress_size) > _LONGEST:
        raise ValueError(f"{entry.filename} is compressed or too large")
    return archive.read(entry)


def _begin(file: io.BufferedReader, entry: zipfile.ZipInfo) -> int:
    """Return where the bytes of a part of an archive begin, behind a header of their own."""
    if entry.compress_type:
        raise ValueError(f"{entry.filename} is compressed")
    file.seek(entry.header_offset)
    header = file.read(30)
    if header[:4] != _ZIP:
        raise ValueError(f"{entry.filename} is not where it should be")
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return entry.header_offset + 30 + name + extra
