"""Drafts from the conversation itself: what followed the last tokens when they stood there before.

Prompt lookup decoding (Saxena 2023), as transformers' `prompt_lookup_num_tokens` and llama.cpp's
`lookup` have it. Knows ids; knows neither models nor what a draft is worth.
"""

from typing import Protocol

# ids that must be the same, how many earlier positions are compared, and how far back
_NGRAM, _PLACES, _FARTHEST = 3, 8, 32
_LONGEST = 1 << 18  # ids that are remembered


class Drafter(Protocol):
    """What proposes ids that may come next; it is told every id of the conversation."""

    def begin(self, ids: list[int]) -> None:
        """Take note of the ids of a conversation up to now, which may go on from the one before."""

    def push(self, token: int) -> None:
        """Take note of the next id."""

    def match(self) -> int:
        """Return how many of the last ids match those before the draft, 0 where there is none."""

    def take(self, count: int) -> list[int]:
        """Return a draft of at most `count` ids, if `match` was not 0."""

    @property
    def seconds(self) -> float:
        """How long an id of a draft takes."""


class ConversationLookup:
    """Finds the last ids of a conversation in what stands before them."""

    seconds = 0.0

    def __init__(self) -> None:
        self._at = self._matched = 0  # the position in `ids` that is followed; 0: none
        self._forget()

    def begin(self, ids: list[int]) -> None:
        """Take note of a conversation; of one that goes on from the last only the rest is new."""
        if ids[: len(self._ids)] != self._ids:
            self._forget()
        for token in ids[len(self._ids) :]:
            self.push(token)

    def push(self, token: int) -> None:
        """Take note of the next id."""
        ids = self._ids
        if self._at and ids[self._at] == token:
            self._at, self._matched = self._at + 1, self._matched + 1
        else:
            self._at = 0
        ids.append(token)
        ngram = tuple(ids[-_NGRAM:])
        self._earlier.append(self._latest.get(ngram, 0))
        self._latest[ngram] = len(ids)
        if len(ids) > _LONGEST:
            rest = ids[_LONGEST // 2 :]
            self._forget()
            self.begin(rest)

    def match(self) -> int:
        """Return how many of the last ids stood before what `take` returns, 0 or 3 and more."""
        if not self._at:
            self._search()
        return self._matched if self._at else 0

    def take(self, count: int) -> list[int]:
        """Return what followed; where that reaches the present, it is repeated from there."""
        at, period = self._at, len(self._ids) - self._at
        return [self._ids[at + index % period] for index in range(count)]

    def _forget(self) -> None:
        self._ids: list[int] = []
        # where the last ids of each position end the time before, and of each n-gram the last time
        self._earlier: list[int] = []
        self._latest: dict[tuple[int, ...], int] = {}
        self._at = self._matched = 0

    def _search(self) -> None:
        """Take the longest match among the latest positions; of two alike the later one."""
        ids, end, longest = self._ids, len(self._ids), _NGRAM - 1
        position = self._earlier[-1] if end > _NGRAM else 0
        for _ in range(_PLACES):
            if not position:
                return
            size = shared_ending(ids, position, ids, end)
            if size > longest:
                self._at = position
                self._matched = longest = size
            position = self._earlier[position - 1]


def shared_ending(one: "list[int] | memoryview", end: int, other: list[int], other_end: int) -> int:
    """Return how many ids before two positions are the same, up to 32."""
    most = min(end, other_end, _FARTHEST)
    for back in range(1, most + 1):
        if one[end - back] != other[other_end - back]:
            return back - 1
    return most
