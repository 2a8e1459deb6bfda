"""What a safetensors file holds and where, read from its header alone: no tensor is touched.

A file is eight bytes that tell the header's length, the header in JSON, and the tensors' bytes
without gaps. A model folder is checked with it in passing, a pulled file before it is published,
and tensors are mapped by it.
"""

import json
import math
import stat
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject

Where = str | PathLike[str]

# bytes of a number, for the types that tuillm reads
ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
# GPT-2 XL's is 70 KB; JSON of the 100 MB that the format allows would grow to gigabytes
_LONGEST_HEADER = 8 << 20
_MOST_DIMENSIONS, _LARGEST = 8, 1 << 62


class StoredTensor(NamedTuple):
    """One tensor: its type, a key of ITEM_BYTES, and its first byte and end in the file."""

    dtype: str
    shape: list[int]
    start: int
    end: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name.

    Raises TuillmError for a file that is damaged, not as long as its header says, or has tensors
    of another type, OSError for one that cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise TuillmError(f"{path} is no file")
    with path.open("rb") as file:
        length = header_length(file.read(8), status.st_size, path)
        return parse_header(file.read(length), status.st_size, path)


def header_length(first: bytes, size: int, where: Where) -> int:
    """Return the length in bytes of the header, by the first eight bytes of a file of `size`.

    `where` is how errors call the file. Raises TuillmError for a length that no header has.
    """
    length = int.from_bytes(first[:8], "little")
    if size < 8 or length > size - 8:
        raise TuillmError(f"{where} is damaged: cut short")
    if length > _LONGEST_HEADER:
        raise TuillmError(f"{where} is damaged: its header is of {length:,} bytes")
    return length


def parse_header(written: bytes, size: int, where: Where) -> dict[str, StoredTensor]:
    """Return the tensors by name that a header tells of, in a file of `size` bytes.

    Raises TuillmError as `read_header` does.
    """
    try:
        found = {
            name: _stored(where, entry, 8 + len(written))
            for name, entry in json.loads(written).items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TuillmError(f"{where} is damaged: unreadable header") from None
    end = 8 + len(written)
    for tensor in sorted(found.values(), key=lambda each: (each.start, each.end)):
        if tensor.start != end:
            raise TuillmError(f"{where} is damaged: its tensors do not lie side by side")
        end = tensor.end
    if size != end:
        how = "cut short" if size < end else "longer than its header says"
        raise TuillmError(f"{where} is damaged: {how}")
    return found


def sizes_of(path: Path) -> dict[str, list[int]]:
    """Return the sizes of a file's tensors by the names `gpt2.misfit` knows them under.

    Raises as `read_header` does.
    """
    return {
        name.removeprefix("transformer."): stored.shape
        for name, stored in read_header(path).items()
    }


def largest_item(path: Path) -> int:
    """Return the bytes of a number in the largest tensor of a file; raises as `read_header` does.

    0 where there is none.
    """
    sizes = [(each.end - each.start, ITEM_BYTES[each.dtype]) for each in read_header(path).values()]
    return max(sizes, default=(0, 0))[1]


def _stored(where: Where, entry: JsonObject, begin: int) -> StoredTensor:
    """Make one of a header's entry, whose bytes are counted from `begin`; raises as they come."""
    dtype, shape = entry["dtype"], entry["shape"]
    first, last = entry["data_offsets"]
    if len(shape) > _MOST_DIMENSIONS or not all(
        type(number) is int and 0 <= number < _LARGEST for number in (*shape, first, last)
    ):
        raise TypeError(entry)
    if dtype not in ITEM_BYTES:
        raise TuillmError(f"{where} has tensors of type {dtype!r:.20}, which tuillm does not read")
    if last - first != math.prod(shape) * ITEM_BYTES[dtype]:
        raise TuillmError(
            f"{where} is damaged: a tensor of shape {list(shape)} has {last - first} bytes"
        )
    return StoredTensor(dtype, list(shape), begin + first, begin + last)
