"""How far the reading of items is, by the bytes that were read of each.

Knows items and their sizes; knows no format.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from tuillm.text.progress_tick import Pace, Tick
from tuillm.text.sources.items import Item

_STAGE = "reading the text"


class ReadingPace:
    """Tells a tick how far it is: in bytes where all sizes are known, else in items."""

    def __init__(self, items: Sequence[Item], tick: Tick) -> None:
        sizes = [item.size for item in items]
        self._tick, self._count = tick, max(len(items), 1)
        self._sizes = [] if None in sizes else cast(list[int], sizes)
        self._pace = Pace(_STAGE, sum(self._sizes), tick)
        self._item = self._reached = 0

    def watched(self, number: int, item: Item) -> Item:
        """Return an item, the one to be read next, whose reading is told."""
        while self._item < number:
            self._reach(self._sizes[self._item] if self._sizes else 0)
            self._item, self._reached = self._item + 1, 0
        self.tell()
        return replace(item, open=lambda: cast(BinaryIO, _Watched(item.open(), self._reach)))

    def tell(self) -> None:
        """Say again how far it is."""
        if self._sizes:
            self._pace.add(0)
        else:
            self._tick(_STAGE, self._item / self._count)

    def end(self) -> None:
        """Say that all is read."""
        self._tick(_STAGE, 1.0)

    def _reach(self, position: int) -> None:
        """Say that an item was read up to a byte; what is read once more does not count."""
        more = max(position - self._reached, 0)
        self._reached += more
        if self._sizes:
            self._pace.add(more)
        else:
            self.tell()


class _Watched:
    """A file that tells up to which byte it was read, when that is done in order."""

    def __init__(self, file: BinaryIO, reach: Callable[[int], None]) -> None:
        self._file, self._reach, self._position = file, reach, 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._position += len(piece)
        self._reach(self._position)
        return piece

    def __enter__(self) -> "_Watched":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)
