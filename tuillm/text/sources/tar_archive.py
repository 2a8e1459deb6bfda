"""A tar archive, compressed or not: its members in order, and each one's bytes.

A compressed one has to be read from its beginning up to the member. Whoever reads the members in
their order does that once: the position behind the last one is kept. Knows nothing of what is
inside.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from tuillm.text.sources.compressed import decompressed
from tuillm.text.sources.items import shown_path
from tuillm.text.sources.seekable import Holder, UnreadableError, Whole
from tuillm.text.sources.tar_headers import TarMember, tar_members

_PIECE = 1 << 17


class TarArchive(Holder):
    """The tar archive in a file; `codec` is how it is compressed, '' for not at all."""

    def __init__(self, base: Whole, codec: str, shown: str, limit: int) -> None:
        self.shown = shown
        self._base, self._codec, self._limit = base, codec, limit
        self._idle: list[_Cursor] = []

    def members(self, tick: Callable[[], None]) -> Iterator[tuple[TarMember, bytes]]:
        """Yield each member with the first 8 KB of it.

        Raises UnreadableError where the archive is damaged or cut off; `tick` may end the work.
        """
        cursor = self._cursor(tick)
        with cursor.stream:
            for member in tar_members(cursor, self.shown):
                tick()
                head = b""
                if member.kind == "file" and member.size:
                    head = cursor.read(min(member.size, 1 << 13))
                yield member, head
            while self._codec and cursor.read(_PIECE):  # its checksum comes at the end
                tick()

    def open_member(self, member: TarMember) -> BinaryIO:
        """Return the bytes of a member.

        That and reading raise UnreadableError where the archive is damaged or cut off up to there.
        """
        cursor = _taken(self._idle)
        if cursor and cursor.at > member.offset:
            cursor.stream.close()
            cursor = None
        return io.BufferedReader(_Section(self, cursor or self._cursor(), member), _PIECE)

    def give_back(self, cursor: _Cursor) -> None:
        """Keep the position for whoever reads the next member."""
        self._keep(cursor)
        self.used()

    def let_go(self) -> None:
        self._keep()
        self._base.let_go()

    def _keep(self, *cursors: _Cursor) -> None:
        before, self._idle = self._idle, list(cursors)
        while cursor := _taken(before):
            cursor.stream.close()

    def _cursor(self, tick: Callable[[], None] = lambda: None) -> _Cursor:
        stream = self._base.open()
        if self._codec:
            stream = decompressed(stream, self._codec, self.shown, self._limit)
        return _Cursor(stream, tick)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_idle": []}


@dataclass(frozen=True)
class TarOpener:
    """Opens one member of an archive."""

    archive: TarArchive
    member: TarMember

    def __call__(self) -> BinaryIO:
        return self.archive.open_member(self.member)


class _Cursor:
    """A stream and the position in it."""

    def __init__(self, stream: BinaryIO, tick: Callable[[], None]) -> None:
        self.stream, self.at, self.tick = stream, 0, tick
        self._end = stream.seek(0, io.SEEK_END) if stream.seekable() else None
        if self._end is not None:
            stream.seek(0)

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.at += len(content)
        return content

    def go_to(self, offset: int) -> bool:
        if self._end is not None:
            self.at = self.stream.seek(offset) if self.at != offset else offset
            return offset <= self._end
        while self.at < offset and self.read(min(offset - self.at, _PIECE)):
            self.tick()
        return self.at == offset


class _Section(io.RawIOBase):
    """The bytes of one member."""

    def __init__(self, archive: TarArchive, cursor: _Cursor, member: TarMember) -> None:
        self._archive, self._cursor, self._member = archive, cursor, member
        self._left = member.size
        self._whole = cursor.go_to(member.offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        if self._left and self._whole:
            content = self._cursor.read(min(len(buffer), self._left))
        if self._left and len(buffer) and not content:
            name = f"{self._archive.shown}/{shown_path(self._member.path)}"
            raise UnreadableError(f"{name} is cut off", "fetch or copy the archive again")
        buffer[: len(content)] = content
        self._left -= len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._cursor.tick = _nothing
            self._archive.give_back(self._cursor)


def _taken(idle: list[_Cursor]) -> _Cursor | None:
    """Take a position out of a list: of several threads one gets it."""
    try:
        return idle.pop()
    except IndexError:
        return None


def _nothing() -> None:
    pass
