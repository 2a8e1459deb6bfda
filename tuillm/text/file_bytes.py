"""The bytes of a file that is too large for memory, read where they are asked for.

Not mapped: the pages of a mapped file count as memory of the process that has read them. Knows
files; does not know what is in them.
"""

import os
from pathlib import Path

from tuillm.errors import TuillmError

# the most that Linux reads at once is somewhat below 2 GB
_AT_ONCE = 1 << 30


class FileBytes:
    """Slices of a file as `bytes`, from several threads at once; the file is open as long as it is.

    A slice raises TuillmError where the file has become shorter meanwhile, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._size)
        found = self._read(begin, min(end - begin, _AT_ONCE))
        if len(found) >= end - begin:
            return found
        pieces = [found]
        begin += len(found)
        while begin < end:
            pieces.append(self._read(begin, min(end - begin, _AT_ONCE)))
            begin += len(pieces[-1])
        return b"".join(pieces)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def _read(self, at: int, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            found = os.pread(self._file.fileno(), size, at)
        except OSError as error:
            raise TuillmError(f"cannot read {self._path}: {error.strerror or error}") from None
        if not found:
            raise TuillmError(f"{self._path} was cut off while it was read", "try again")
        return found
