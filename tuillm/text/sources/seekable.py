"""Files that can be read at any position: on the disk, or spooled from a stream that cannot.

They are read by position, so that streams of one file, threads and forked processes are in nobody's
way. Knows bytes; knows no format.
"""

import io
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import open_regular
from tuillm.store.files import disk_error
from tuillm.store.http_download import write_through
from tuillm.store.paths import cache_dir, ensure_dir

_PIECE = 1 << 18
_IN_MEMORY = 1 << 20
# the most that is laid aside of one archive that lies in another
SPOOLED = 4_000_000_000
_MOST_OPEN = 8


class UnreadableError(TuillmError):
    """A file without permission; an archive that is damaged, encrypted, or beyond measure."""

    def reason(self, name: str) -> str:
        """Return what is wrong with the file of that name, without it."""
        return self.message.removeprefix(f"{name} is ").removeprefix(f"cannot read {name}: ")


class Whole(Protocol):
    """A file: `open` gives it anew at each call, seekable, from its beginning."""

    def open(self) -> BinaryIO: ...
    def let_go(self) -> None: ...


@dataclass(frozen=True)
class DiskFile:
    """A file on the disk; `shown` is how messages name it."""

    path: Path
    shown: str

    def open(self) -> BinaryIO:
        """Raises UnreadableError when it cannot be read or is no regular file any more."""
        try:
            return io.BufferedReader(_Positioned(open_regular(self.path), self.shown), _PIECE)
        except OSError as error:
            raise UnreadableError(f"cannot read {self.shown}: {error.strerror}") from None

    __call__ = open

    def let_go(self) -> None:
        """It keeps nothing."""


class Spool:
    """What a stream gives, laid aside in memory or in a file without a name when first opened."""

    def __init__(self, source: Callable[[], BinaryIO], shown: str, most: int = SPOOLED) -> None:
        self._source, self._shown, self._most = source, shown, most
        self._content: bytes | _Descriptor | None = None

    def open(self) -> BinaryIO:
        """Raises UnreadableError for too large a stream, TuillmError when the disk refuses."""
        content = self._content
        if content is None:
            content = self._content = self._filled()
        if isinstance(content, bytes):
            return io.BytesIO(content)
        return io.BufferedReader(_Positioned(os.dup(content.fd), self._shown), _PIECE)

    def let_go(self) -> None:
        """Give up what is laid aside; whoever has it open goes on reading."""
        self._content = None

    def _filled(self) -> "bytes | _Descriptor":
        with self._source() as source:
            head = b""
            while more := source.read(_IN_MEMORY - len(head)):
                head += more
            if len(head) < _IN_MEMORY:
                return head
            folder = ensure_dir(cache_dir())
            with _telling_of(folder):
                file = tempfile.TemporaryFile(dir=folder, buffering=0)
            with file:
                done, piece = 0, head
                while piece:
                    done += len(piece)
                    if done > self._most:
                        raise UnreadableError(
                            f"{self._shown} is larger than {self._most / 1e9:g} GB, too much to "
                            "read inside an archive",
                            "unpack the archive first",
                        )
                    with _telling_of(folder):
                        write_through(file, piece)
                    piece = source.read(_PIECE)
                return _Descriptor(os.dup(file.fileno()))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_content": None}


class Holder:
    """What keeps files open between two uses: of all holders only the last used ones do."""

    def let_go(self) -> None:
        """Keep nothing open."""
        raise NotImplementedError

    def used(self) -> None:
        """Say that it holds something open."""
        last = _holders[-1]() if _holders else None
        if last is self:
            return
        kept = [ref for ref in _holders if ref() not in (None, self)]
        _holders[:] = [*kept[1 - _MOST_OPEN :], weakref.ref(self)]
        for ref in kept[: 1 - _MOST_OPEN]:
            if oldest := ref():
                oldest.let_go()


_holders: "list[weakref.ref[Holder]]" = []


@contextmanager
def _telling_of(folder: Path) -> Iterator[None]:
    """Raise a DiskError for what the disk of a folder refuses."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, folder) from None


class _Descriptor:
    """An open file without a name, which goes with this object."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class _Positioned(io.RawIOBase):
    """An open file, read by position and closed at the end."""

    def __init__(self, fd: int, shown: str) -> None:
        self._fd, self._shown, self._at = fd, shown, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = (0, self._at, os.fstat(self._fd).st_size if whence == os.SEEK_END else 0)[whence]
        if begin + offset < 0:
            raise ValueError(f"there is no position {begin + offset}")
        self._at = begin + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        try:
            content = os.pread(self._fd, len(buffer), self._at)
        except OSError as error:
            raise UnreadableError(f"cannot read {self._shown}: {error.strerror}") from None
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)
