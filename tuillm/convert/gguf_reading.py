"""A GGUF file's header, read with a bound on everything it claims: what it tells, and its tensors.

The format is llama.cpp's (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2
and 3, little-endian. Knows names, shapes and places in the file; knows neither what they mean nor
the values of a tensor.
"""

import math
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from tuillm.errors import TuillmError, brief
from tuillm.formats.bounded_read import MB, open_regular

Value = int | float | bool | str | list[str] | NDArray[np.generic]

# Gemma's vocabulary has 262,144 tokens and twice as many merges, its header 15 MB; models have
# some 40 entries and up to a thousand tensors
_MOST_ENTRIES, _MOST_TENSORS = 4_096, 65_536
_MOST_IN_LIST, _MOST_STRINGS = 600_000, 1_000_000
_LONGEST_HEADER = 64 * MB
_LONGEST_NAME, _LONGEST_STRING = 1_024, MB
_MOST_DIMENSIONS, _LARGEST = 4, 1 << 40
_ALIGNMENT, _MOST_ALIGNMENT = 32, 64 * 1024

# the kinds of values by their numbers in the format
_NUMBERS = {
    0: "u1",
    1: "i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_BOOL, _STRING, _LIST = 7, 8, 9

# the kinds of tensors that tuillm reads, by their numbers: the numbers in a block, and its bytes
_BLOCKS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
}


class GGUFTensor(NamedTuple):
    """One tensor: its kind by name, its shape as PyTorch has it, its first byte and its length."""

    kind: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def row_bytes(self) -> int:
        """The bytes of a row, which blocks never cross."""
        return self.size // math.prod(self.shape[:-1])


@dataclass(frozen=True)
class GGUFFile:
    """What a file's header says: its entries by key, and its tensors by name."""

    path: Path
    entries: dict[str, Value]
    tensors: dict[str, GGUFTensor]

    def text(self, key: str) -> str | None:
        """Return the text of an entry, or None without one; raises TuillmError for what is none."""
        value = self.entries.get(key)
        if value is None or isinstance(value, str):
            return value
        raise TuillmError(f"{self.path} is damaged: {key} is {brief(value)}")


def read_gguf(path: Path) -> GGUFFile:
    """Return what a GGUF file's header says; no tensor is touched.

    Raises TuillmError for a file that is missing, no GGUF, damaged, in several parts, or larger in
    any respect than a model's can be, and for kinds of tensors that tuillm does not read.
    """
    try:
        handle = open_regular(path)
        try:
            size = os.fstat(handle).st_size
            if size < 24:
                raise TuillmError(f"{path} is no GGUF file, or is cut short")
            with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as content:
                return _Header(path, content).read()
        finally:
            os.close(handle)
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror}") from None


class _Header:
    """Walks through a header from its beginning; `at` is the next byte."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self.content = path, content
        self.size, self.at, self.strings = len(content), 0, 0

    def read(self) -> GGUFFile:
        """Read all of it."""
        if self._take(4) != b"GGUF":
            raise TuillmError(f"{self.path} is no GGUF file")
        version = self._whole(4)
        if version not in (2, 3):
            bare = version if version < 1 << 16 else "in the order of bytes of another processor"
            raise TuillmError(f"{self.path} is GGUF of version {bare}; tuillm reads 2 and 3")
        tensors = self._whole(8, _MOST_TENSORS, "tensors")
        count = self._whole(8, _MOST_ENTRIES, "entries")
        entries: dict[str, Value] = {}
        for _ in range(count):
            key = self._string(_LONGEST_NAME)
            if key in entries:
                self._damaged(f"it tells {brief(key)} twice")
            entries[key] = self._value(self._whole(4))
        parts = entries.get("split.count")
        if isinstance(parts, int) and parts > 1:
            raise TuillmError(
                f"{self.path} is one of {parts} parts of a model",
                "join them with llama.cpp's llama-gguf-split --merge",
            )
        return GGUFFile(self.path, entries, self._tensors(tensors, self._alignment(entries)))

    def _tensors(self, count: int, alignment: int) -> dict[str, GGUFTensor]:
        found: dict[str, GGUFTensor] = {}
        for _ in range(count):
            name = self._string(_LONGEST_NAME)
            if name in found:
                self._damaged(f"it has {brief(name)} twice")
            found[name] = self._tensor(name)
        begin = -(-self.at // alignment) * alignment
        placed = {name: each._replace(start=begin + each.start) for name, each in found.items()}
        end, before = begin, ""
        for name, each in sorted(placed.items(), key=lambda item: item[1].start):
            if each.start % alignment or each.start < end:
                self._damaged(f"its tensor {brief(name)} does not lie behind {brief(before)}")
            end, before = each.start + each.size, name
        if end > self.size:
            self._damaged(f"cut short: {self.size:,} bytes, of {end:,}")
        return placed

    def _tensor(self, name: str) -> GGUFTensor:
        """Read a tensor's entry; its place is counted from the first tensor's."""
        count = self._whole(4)
        if not 1 <= count <= _MOST_DIMENSIONS:
            self._damaged(f"its tensor {brief(name)} has {count} dimensions")
        shape = struct.unpack(f"<{count}Q", self._take(8 * count))[::-1]
        number, start = self._whole(4), self._whole(8)
        if number not in _BLOCKS:
            raise TuillmError(
                f"{self.path} has tensors of {_kind_name(number)}, which tuillm does not read",
                "allowed: " + ", ".join(kind for kind, *_ in _BLOCKS.values()),
            )
        kind, block, block_bytes = _BLOCKS[number]
        if not all(0 < length < _LARGEST for length in shape) or shape[-1] % block:
            self._damaged(f"its tensor {brief(name)} of {kind} is {brief(list(shape))}")
        return GGUFTensor(kind, shape, start, math.prod(shape) // block * block_bytes)

    def _alignment(self, entries: dict[str, Value]) -> int:
        found = entries.get("general.alignment", _ALIGNMENT)
        if type(found) is not int or not 0 < found <= _MOST_ALIGNMENT or found & (found - 1):
            self._damaged(f"general.alignment is {brief(found)}")
        return found

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string(_LONGEST_STRING)
        if kind == _LIST:
            return self._list()
        value: int | float | bool = self._numbers(kind, 1)[0].item()
        return value

    def _list(self) -> Value:
        kind, count = self._whole(4), self._whole(8, _MOST_IN_LIST, "entries in a list")
        if kind != _STRING:
            return self._numbers(kind, count)
        self.strings += count
        if self.strings > _MOST_STRINGS:
            self._damaged(f"more than {_MOST_STRINGS:,} texts in lists")
        return self._strings(count)

    def _strings(self, count: int) -> list[str]:
        """Read many texts: as `_string` does, in a third of the time."""
        content, at, end = self.content, self.at, min(self.size, _LONGEST_HEADER)
        found = []
        for _ in range(count):
            begin = at + 8
            at = begin + int.from_bytes(content[at:begin], "little")
            if at > end:
                self._damaged("cut short, or its texts are too long")
            found.append(content[begin:at])
        self.at = at
        try:
            return [each.decode() for each in found]
        except UnicodeDecodeError:
            self._damaged("a text in it is no UTF-8")

    def _numbers(self, kind: int, count: int) -> NDArray[np.generic]:
        if kind == _BOOL:
            return np.frombuffer(self._take(count), np.bool_)
        if kind not in _NUMBERS:
            self._damaged(f"a value of kind {kind}, which there is none of")
        bare = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(count * bare.itemsize), bare)

    def _string(self, most: int) -> str:
        length = self._whole(8)
        if length > most:
            self._damaged(f"a text of {length:,} bytes, where {most:,} are the most")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            self._damaged("a text in it is no UTF-8")

    def _whole(self, size: int, most: int | None = None, what: str = "") -> int:
        value = int.from_bytes(self._take(size), "little")
        if most is not None and value > most:
            self._damaged(f"{value:,} {what}, where {most:,} are the most there can be")
        return value

    def _take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > self.size:
            self._damaged("cut short")
        if self.at > _LONGEST_HEADER:
            self._damaged(f"its header is of more than {_LONGEST_HEADER:,} bytes")
        return self.content[start : self.at]

    def _damaged(self, reason: str) -> NoReturn:
        raise TuillmError(f"{self.path} is damaged: {reason}")


def _kind_name(number: int) -> str:
    from gguf import GGMLQuantizationType

    try:
        return GGMLQuantizationType(number).name
    except ValueError:
        return f"kind {number}"
