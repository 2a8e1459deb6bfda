"""A zip archive: its members in order, and each one's bytes.

Its list is looked at before it is read, since it may name millions of files. Knows nothing of what
is inside, but that EPUB and the documents of office programs are zip archives, too.
"""

from __future__ import annotations

import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from tuillm.text.file_types import Found, recognize_zipped
from tuillm.text.sources.compressed import SMALL, too_much
from tuillm.text.sources.items import shown_path
from tuillm.text.sources.seekable import Holder, UnreadableError, Whole

# the most members of one archive, and the longest list of them in bytes
MEMBERS = 1_000_000
_LONGEST_LIST = 200_000_000
_ENTRY = b"PK\1\2"
_MIMETYPE = 100
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    OverflowError,
    MemoryError,
)


class ZipArchive(Holder):
    """The zip archive in a file."""

    def __init__(self, base: Whole, shown: str, limit: int) -> None:
        self.shown = shown
        self._base, self._limit = base, limit
        self._zip: zipfile.ZipFile | None = None

    def document(self) -> Found | None:
        """Return what it is where it is a book or document; raises UnreadableError."""
        names = self._opened().namelist()
        mimetype = b""
        if "mimetype" in names:
            with self.open_member(names.index("mimetype"), "mimetype") as file:
                mimetype = file.read(_MIMETYPE)
        return recognize_zipped(names, mimetype)

    def members(
        self, tick: Callable[[], None]
    ) -> Iterator[tuple[str, str, int, Callable[[], BinaryIO]]]:
        """Yield the path of each member, what it is (`file`, `folder`, ...), its size and opener.

        Raises UnreadableError for what is encrypted, damaged or much too large.
        """
        entries = self._opened().filelist
        self._check_sizes(entries)
        for index, entry in enumerate(entries):
            tick()
            if entry.flag_bits & 1:
                raise UnreadableError(
                    f"{self._name(entry)} is encrypted", "unpack it with its password first"
                )
            yield (
                entry.filename,
                _kind(entry),
                entry.file_size,
                ZipOpener(self, index, entry.filename),
            )

    def open_member(self, index: int, name: str) -> BinaryIO:
        """Return the bytes of a member; that and reading raise UnreadableError."""
        opened = self._opened()
        entry = opened.filelist[index] if index < len(opened.filelist) else None
        if entry is None or entry.filename != name:
            raise UnreadableError(f"{self.shown} has changed since it was listed", "try again")
        try:
            return io.BufferedReader(_Member(opened.open(entry), entry, self._name(entry)), 1 << 16)
        except (*_FAULTS, NotImplementedError, RuntimeError) as error:
            raise _fault(error, self._name(entry)) from None

    def let_go(self) -> None:
        self._zip = None  # streams that are open keep what they need
        self._base.let_go()

    def _opened(self) -> zipfile.ZipFile:
        if self._zip is None:
            file = self._base.open()
            try:
                _check_list(file, self.shown)
                self._zip = zipfile.ZipFile(file)
            except (*_FAULTS, NotImplementedError, RuntimeError) as error:
                raise _fault(error, self.shown) from None
        self.used()
        return self._zip

    def _check_sizes(self, entries: list[zipfile.ZipInfo]) -> None:
        size = sum(entry.file_size for entry in entries)
        if size > max(SMALL, self._limit):
            raise too_much(self.shown, size)

    def _name(self, entry: zipfile.ZipInfo) -> str:
        return f"{self.shown}/{shown_path(entry.filename)}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_zip": None}


@dataclass(frozen=True)
class ZipOpener:
    """Opens one member of an archive."""

    archive: ZipArchive
    index: int
    name: str

    def __call__(self) -> BinaryIO:
        return self.archive.open_member(self.index, self.name)


class _Member(io.RawIOBase):
    """The bytes of one member: what the library stumbles over is told in our words."""

    def __init__(self, file: Any, entry: zipfile.ZipInfo, shown: str) -> None:
        self._file, self._shown, self._left = file, shown, entry.file_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._file.read(len(buffer))
        except _FAULTS as error:
            raise _fault(error, self._shown) from None
        buffer[: len(content)] = content
        self._left -= len(content)
        if self._left and len(buffer) and not content:
            raise _fault(EOFError(), self._shown)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


def too_many(shown: str) -> UnreadableError:
    """The error for an archive of more than a million files."""
    return UnreadableError(
        f"{shown} holds more than {MEMBERS:,} files", "unpack it and name its folders one by one"
    )


def _check_list(file: BinaryIO, shown: str) -> None:
    """Raise for an archive with a list of more members than anybody has, before it is taken in."""
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # as the library sees it
    if not end:
        raise UnreadableError(f"{shown} is cut off: its list of files is missing", "fetch it again")
    size, offset = end[5], end[9]
    if size > _LONGEST_LIST:
        raise too_many(shown)
    file.seek(max(offset - size - 76, 0))  # 76: what zip64 has in between
    if size > MEMBERS * 46 and file.read(size).count(_ENTRY) > MEMBERS:
        raise too_many(shown)


def _kind(entry: zipfile.ZipInfo) -> str:
    mode = entry.external_attr >> 16
    if entry.is_dir() or stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISLNK(mode):
        return "a link"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "a device"


def _fault(error: Exception, shown: str) -> UnreadableError:
    if isinstance(error, NotImplementedError):
        return UnreadableError(
            f"{shown} is compressed in a way that Python cannot undo",
            "unpack the archive and name what came out",
        )
    if isinstance(error, RuntimeError):
        return UnreadableError(f"{shown} is encrypted", "unpack it with its password first")
    return UnreadableError(f"{shown} is damaged", "fetch or copy the archive again")
