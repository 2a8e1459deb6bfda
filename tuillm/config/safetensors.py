"""What a safetensors file holds and where, read from its header alone: no tensor is touched.

A file is eight bytes that tell the header's length, the header in JSON, and the tensors' bytes
without gaps. A model folder is checked with it in passing, a pulled file before it is published,
and tensors are mapped by it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tuillm.errors import TuillmError

_LONGEST_HEADER = 100_000_000  # as the format's own library has it


class StoredTensor(NamedTuple):
    """One tensor: its type as the format calls it ("F32"), and its first byte and end in the file.
    """

    dtype: str
    shape: list[int]
    start: int
    end: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name.

    Raises TuillmError for a file that is damaged or not as long as its header says, OSError for
    one that cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise TuillmError(f"{path} is damaged: cut short")
        written = file.read(length)
    try:
        found = {name: _stored(entry, 8 + length)
                 for name, entry in json.loads(written).items() if name != "__metadata__"}
        end = max(tensor.end for tensor in found.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TuillmError(f"{path} is damaged: unreadable header") from None
    if size != end:
        raise TuillmError(f"{path} is damaged: cut short")
    return found


def _stored(entry: dict[str, Any], begin: int) -> StoredTensor:
    """Make one of a header's entry, whose bytes are counted from `begin`; raises as they come."""
    dtype, shape = entry["dtype"], entry["shape"]
    first, last = entry["data_offsets"]
    if not (isinstance(dtype, str) and isinstance(shape, list)
            and all(type(number) is int and number >= 0 for number in (*shape, first, last))):
        raise TypeError(entry)
    return StoredTensor(dtype, shape, begin + first, begin + last)
