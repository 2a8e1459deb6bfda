"""Archives, and archives in them: each file inside as something that can be opened.

zip, tar, gzip, bzip2, xz and zstd are told by their content. Nothing is written under a name that
stands in one. Knows formats of archives; what a text is, it is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tuillm.text.file_types import Found
from tuillm.text.sources.compressed import (
    SUFFIXES,
    codec_of,
    decompressed,
    first_bytes,
    too_much,
    total_limit,
)
from tuillm.text.sources.items import Skipped, shown_path
from tuillm.text.sources.seekable import DiskFile, Spool, UnreadableError, Whole
from tuillm.text.sources.tar_archive import TarArchive, TarOpener
from tuillm.text.sources.tar_headers import BLOCK, is_tar
from tuillm.text.sources.zip_archive import MEMBERS, ZipArchive, too_many

# how many of its first bytes tell what a file is
HEAD = 1 << 13
DEPTH = 3
_ZIPS = (b"PK\3\4", b"PK\5\6")
_LEADING_OUT = ("an absolute path", "a path that leads out of the archive")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")

Opener = Callable[[], BinaryIO]
# says why a file that begins so is no text, or ''
Judge = Callable[[bytes], str]


@dataclass(frozen=True)
class Entry:
    """A file in an archive.

    `paths` inside the outermost one are those of the archives in it, then that of the file.
    """

    name: str
    paths: tuple[str, ...]
    open: Opener
    size: int | None


@dataclass(frozen=True)
class _Row:
    """A line of an archive's list: `kind` is that of an archive, `reason` why it is passed over."""

    path: str
    open: Opener
    size: int
    kind: str = ""
    reason: str = ""
    # of a compressed file what it holds at first, where that is known to be no tar archive
    first: bytes = b""


def archive_kind(head: bytes) -> str:
    """Return `zip`, `tar`, `gzip`, `bzip2`, `xz` or `zstd` for a file that begins so, else ''."""
    if head.startswith(_ZIPS):
        return "zip"
    return codec_of(head) or ("tar" if is_tar(head) else "")


def zip_document(file: DiskFile) -> Found | None:
    """Return what a zip file is when it is a book or document; raises UnreadableError."""
    return ZipArchive(file, file.shown, total_limit(0)).document()


def archive_entries(
    file: DiskFile, size: int, kind: str, judge: Judge, tick: Callable[[], None]
) -> Iterator[Entry | Skipped]:
    """Yield what is in an archive of `size` bytes, in its order, and in the archives inside.

    Raises UnreadableError for one that is damaged, cut off, encrypted, holds more than a million
    files, or unpacks to more than 200 GB or, beyond 100 MB, a thousand times its size. An archive
    inside it that is so is passed over. `tick` may end the work.
    """
    listing = _Listing(file.shown, total_limit(size), judge, tick)
    yield from listing.archive(file, file, kind, file.shown, (), 1)


def hidden(path: str) -> str:
    """Return the path up to its first hidden part, or ''."""
    found = re.match(r"(?:.*?/)??(?:\.[^/]+|__MACOSX)(?=/|$)", path, re.DOTALL)
    return found[0] if found else ""


class _Listing:
    """All that lies in one archive: counts over it and the archives inside."""

    def __init__(self, name: str, limit: int, judge: Judge, tick: Callable[[], None]) -> None:
        self._name, self._limit, self._judge, self._tick = name, limit, judge, tick
        self._files = self._bytes = 0
        self._over = False

    def archive(
        self, whole: Whole, file: Opener, kind: str, shown: str, paths: tuple[str, ...], depth: int
    ) -> Iterator[Entry | Skipped]:
        """Yield what is in an archive; `file` opens it, too, for what need not seek."""
        if kind not in ("zip", "tar"):
            with decompressed(whole.open(), kind, shown, self._limit) as stream:
                head = stream.read(HEAD)
            if not is_tar(head):
                yield from self._single(file, kind, head, shown, paths, depth)
                return
        rows = self._zip_rows(whole, shown) if kind == "zip" else self._tar_rows(whole, kind, shown)
        # its list is complete before anything in it is opened: a tar is read in one pass
        yield from self._entries(list(rows), shown, paths, depth)

    def _single(
        self, file: Opener, codec: str, head: bytes, shown: str, paths: tuple[str, ...], depth: int
    ) -> Iterator[Entry | Skipped]:
        """Yield what one file is the compressed form of, and begins with `head`."""
        unpacked = _Unpacked(file, codec, shown, self._limit)
        row = self._row(_stem(shown), unpacked, -1, "file", head)
        yield from self._entries([row], shown, paths, depth)

    def _entries(
        self, rows: Iterable[_Row], shown: str, paths: tuple[str, ...], depth: int
    ) -> Iterator[Entry | Skipped]:
        seen = set()
        for row in rows:
            self._tick()
            name = f"{shown}/{shown_path(row.path)}"
            inner = (*paths, f"{paths[-1]}/{row.path}" if paths else row.path)
            if row.reason not in _LEADING_OUT and (prefix := hidden(row.path)):
                if prefix not in seen:
                    seen.add(prefix)
                    yield Skipped(f"{shown}/{shown_path(prefix)}", "hidden")
            elif row.reason:
                yield Skipped(name, row.reason)
            elif row.kind:
                yield from self._nested(row, name, inner, depth + 1)
            else:
                yield Entry(name, inner, row.open, row.size if row.size >= 0 else None)

    def _nested(
        self, row: _Row, name: str, paths: tuple[str, ...], depth: int
    ) -> Iterator[Entry | Skipped]:
        # opened once: what lies before it in a compressed tar is not to be read again
        whole = Spool(row.open, name)
        try:
            found = ZipArchive(whole, name, self._limit).document() if row.kind == "zip" else None
            if found and found.readable:
                yield Entry(name, paths, row.open, row.size if row.size >= 0 else None)
            elif found:
                yield Skipped(name, found.what)
            elif depth > DEPTH:
                yield Skipped(name, f"archives in each other, more than {DEPTH} deep")
            elif row.first:
                yield from list(self._single(row.open, row.kind, row.first, name, paths, depth))
            else:
                yield from list(self.archive(whole, row.open, row.kind, name, paths, depth))
        except UnreadableError as error:
            if self._over:
                raise
            yield Skipped(name, error.reason(name))
        finally:
            whole.let_go()

    def _zip_rows(self, whole: Whole, shown: str) -> Iterator[_Row]:
        for path, kind, size, opener in ZipArchive(whole, shown, self._limit).members(self._tick):
            self._count(size)
            path = path.removeprefix("./")
            if kind == "file" and not hidden(path):
                with opener() as file:
                    yield self._row(path, opener, size, kind, file.read(HEAD))
            elif kind != "folder":
                yield self._row(path, opener, size, kind, b"")

    def _tar_rows(self, whole: Whole, kind: str, shown: str) -> Iterator[_Row]:
        archive = TarArchive(whole, "" if kind == "tar" else kind, shown, self._limit)
        for member, head in archive.members(self._tick):
            self._count(member.size)
            if member.kind != "folder":
                path = member.path.removeprefix("./")
                opener = TarOpener(archive, member)
                yield self._row(path, opener, member.size, member.kind, head)

    def _row(self, path: str, opener: Opener, size: int, kind: str, head: bytes) -> _Row:
        inner, first = "", b""
        if path.startswith(("/", "\\")) or _DRIVE.match(path):
            reason = _LEADING_OUT[0]
        elif ".." in re.split(r"[\\/]", path):
            reason = _LEADING_OUT[1]
        elif kind != "file":
            reason = kind
        else:
            inner = archive_kind(head)
            reason = "" if inner else self._judge(head)
            if inner not in ("", "zip", "tar"):
                first = first_bytes(head, inner, HEAD)
                first = first if len(first) >= BLOCK and not is_tar(first) else b""
        return _Row(path, opener, size, inner, reason, first)

    def _count(self, size: int) -> None:
        self._files += 1
        self._bytes += size
        self._over = True
        if self._files > MEMBERS:
            raise too_many(self._name)
        if self._bytes > self._limit:
            raise too_much(self._name, self._bytes)
        self._over = False


@dataclass(frozen=True)
class _Unpacked:
    """Opens what one file is the compressed form of."""

    file: Opener
    codec: str
    shown: str
    limit: int

    def __call__(self) -> BinaryIO:
        return decompressed(self.file(), self.codec, self.shown, self.limit)


def _stem(path: str) -> str:
    """Return the name of what is compressed in a file."""
    name = path.rpartition("/")[2]
    end = next((end for end in SUFFIXES if name.lower().endswith(end)), "")
    return name[: -len(end)] if end and len(name) > len(end) else name
