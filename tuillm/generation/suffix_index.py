"""Drafts from the book that a model was trained on: its tokens, and their suffixes in order.

The suffix array (Manber and Myers 1990) of the training tokens lies beside them in the cache, in a
file that is mapped and not read: a search of a few microseconds finds the last tokens of a
conversation anywhere in the book. Knows ids and token folders; knows no model.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuillm.generation.draft_tokens import shared_ending
from tuillm.store.files import new_file
from tuillm.text.token_folders import token_folders

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TOKENS = 10_000_000  # of a longer book no model here knows much by heart
_FILE = "suffixes.bin"
_DEPTH = 32  # ids by which suffixes are ordered
_LENGTHS = (4, 8, 16, 32)  # of the last ids that are looked for
# searches without a match after which only some ids are searched for, and each of how many
_PATIENCE, _SELDOM = 8, 4


class SuffixIndex:
    """The ids of a book and the order of its suffixes, by their first 32 ids."""

    def __init__(self, ids: "NDArray[np.unsignedinteger]", order: "NDArray[np.int32]") -> None:
        # an element of these takes a tenth of the time of one of an array
        self.ids, self._order = ids.data, order.data

    def find(self, pattern: list[int]) -> tuple[int, int]:
        """Return how often a pattern of 1 to 32 ids occurs, and one position where it does.

        Of several it is the one in the middle of their order: what follows most of them, if there
        is such a thing, follows it.
        """
        first = self._bisect(pattern, 0)
        # most patterns are not there, which is known now
        if first == len(self._order) or self._at(first, len(pattern)) != pattern:
            return 0, -1
        end = self._bisect([*pattern[:-1], pattern[-1] + 1], first)
        return end - first, self._order[(first + end) // 2]

    def _bisect(self, pattern: list[int], low: int) -> int:
        """Return the first index in the order whose suffix is not below a pattern."""
        ids, order, size, high = self.ids, self._order, len(pattern), len(self._order)
        while low < high:
            middle = (low + high) // 2
            position = order[middle]
            if ids[position : position + size].tolist() < pattern:
                low = middle + 1
            else:
                high = middle
        return low

    def _at(self, index: int, size: int) -> list[int]:
        position = self._order[index]
        return self.ids[position : position + size].tolist()


class BookLookup:
    """Finds the last ids of a conversation in a book; a `Drafter`."""

    seconds = 0.0

    def __init__(self, index: SuffixIndex) -> None:
        self._index = index
        self._recent: list[int] = []
        self._at, self._matched, self._searched = -1, 0, False
        self._missed = 0  # ids in a row that the book has not

    def begin(self, ids: list[int]) -> None:
        """Take note of a conversation: its last ids are enough."""
        self._recent = ids[-_DEPTH:]
        self._at, self._searched, self._missed = -1, False, 0

    def push(self, token: int) -> None:
        """Take note of the next id; where the book has it, too, the position is followed."""
        self._recent.append(token)
        if len(self._recent) > 8 * _DEPTH:
            del self._recent[:-_DEPTH]
        ids = self._index.ids
        if 0 <= self._at < len(ids) - 1 and ids[self._at] == token:
            self._at, self._matched = self._at + 1, self._matched + 1
        else:
            self._at, self._searched = -1, False

    def match(self) -> int:
        """Return how many of the last ids the book has before what `take` returns, 0 or 4 up.

        In a text that is not of the book a passage of it is found up to four ids later.
        """
        if self._at < 0 and not self._searched:
            self._searched = True
            if self._missed < _PATIENCE or self._missed % _SELDOM == 0:
                self._search()
            self._missed = 0 if self._at >= 0 else self._missed + 1
        return self._matched if self._at >= 0 else 0

    def take(self, count: int) -> list[int]:
        """Return what follows in the book."""
        return self._index.ids[self._at : self._at + count].tolist()

    def _search(self) -> None:
        recent, end = self._recent, len(self._recent)
        for length in _LENGTHS:
            if length > end:
                return
            count, position = self._index.find(recent[-length:])
            if not count:
                return
            if position + length == len(self._index.ids):  # nothing follows the book
                return
            self._at = position + length
            self._matched = shared_ending(self._index.ids, self._at, recent, end)
            if count == 1:
                return


def sort_suffixes(ids: "NDArray[np.unsignedinteger]") -> "NDArray[np.int32]":
    """Return the suffixes of ids [N] in the order of their first 32 ids, as positions [N].

    By doubling the length that they are sorted by (Manber and Myers 1990): some 1 s and 50 MB for a
    million. A suffix that ends comes before one that goes on.
    """
    rank = ids.astype(np.int64) + 1  # 0 stands for the end
    size = 1
    while True:
        key = rank * (int(rank.max(initial=0)) + 1)
        key[:-size] += rank[size:]
        order = np.argsort(key)
        steps = np.diff(key[order], prepend=-1) != 0
        rank[order] = np.cumsum(steps)
        size *= 2
        if size >= _DEPTH or (len(ids) and rank[order[-1]] == len(ids)):
            return order.astype(np.int32)


def index_folder(folder: Path, ids: "NDArray[np.unsignedinteger]") -> None:
    """Write the index of a token folder, unless it is there or the book is too long for one."""
    path = folder / _FILE
    if not 0 < len(ids) <= MOST_TOKENS or _is_whole(path, len(ids)):
        return
    with new_file(path) as staging:
        staging.write_bytes(sort_suffixes(ids).tobytes())


def open_index(corpus_sha256: str, tokenizer_sha256: str) -> SuffixIndex | None:
    """Return the index of a corpus in the tokens of a tokenizer, None where there is none.

    Raises nothing for a cache that is damaged: a wrong draft changes no text.
    """
    for found in token_folders(corpus_sha256, tokenizer_sha256):
        with suppress(OSError, ValueError):
            ids = np.memmap(found.train, found.dtype, "r")
            path = found.folder / _FILE
            if _is_whole(path, len(ids)):
                return SuffixIndex(ids, np.memmap(path, np.int32, "r"))
    return None


def _is_whole(path: Path, length: int) -> bool:
    return path.exists() and path.stat().st_size == 4 * length
