"""Which parts of a text are meant: its documents within a range, all of them or those chosen.

Kept as a rule and worked out in blocks, for there may be many millions of documents. Also cuts what
is long where no token spans. Knows bytes and where documents end; knows neither files nor tokens.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

# documents that are worked out at a time
_BLOCK = 1 << 16
# where a word ends before a blank, or before a mark that ends a clause where no blanks are written;
# no blank of Unicode ends in these bytes (`tokenizer.slices` has the same rule for characters)
_BEHIND_WORD = re.compile(
    rb"(?:[!-~]|[\xc3-\xdf][\x80-\xbf]|[\xe0\xe4-\xed][\x80-\xbf]{2})(?=[ \n])"
    rb"|[\xe4-\xe9][\x80-\xbf]{2}(?=\xe3\x80[\x81\x82]|\xef\xbc[\x81\x8c\x9a\x9b\x9f])"
)
_SEARCHED = 1 << 16


class Content(Protocol):
    """UTF-8 whose slices are `bytes`: bytes themselves, or a file read where it is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Span(NamedTuple):
    """A range of bytes, of one document; an end-of-text token follows where it is `whole`."""

    begin: int
    end: int
    whole: bool


class Block(NamedTuple):
    """Spans in the order of a text, as three arrays of one length."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    whole: NDArray[np.bool_]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each has."""
        return self.ends - self.begins

    @property
    def bytes(self) -> int:
        """How many they have together."""
        return int(self.sizes.sum())

    def joined(self, other: "Block") -> "Block":
        """Return these and then those of another block."""
        return Block(
            np.concatenate([self.begins, other.begins]),
            np.concatenate([self.ends, other.ends]),
            np.concatenate([self.whole, other.whole]),
        )

    def part(self, chosen: slice | NDArray[np.bool_]) -> "Block":
        """Return some of them."""
        return Block(self.begins[chosen], self.ends[chosen], self.whole[chosen])


@dataclass(frozen=True)
class Spans:
    """What of the documents lies from byte `begin` to `end`; number i ends before `doc_ends`[i].

    Where `chosen` [documents] is given, of those alone. A span is `whole` where `closed` is true
    and its document ends within the range.
    """

    doc_ends: NDArray[np.int64]
    begin: int
    end: int
    chosen: NDArray[np.bool_] | None = None
    closed: bool = True

    def __len__(self) -> int:
        first, last = self._documents()
        if self.chosen is None:
            return last - first
        return int(np.count_nonzero(self.chosen[first:last]))

    def __iter__(self) -> Iterator[Span]:
        for block in self._blocks():
            lists = (block.begins.tolist(), block.ends.tolist(), block.whole.tolist())
            yield from map(Span, *lists)

    @property
    def bytes(self) -> int:
        """How much text they are."""
        if self.chosen is None:
            return max(self.end - self.begin, 0)
        return sum(block.bytes for block in self._blocks())

    def parts(self, content: Content, size: int, *, anywhere: bool = False) -> Iterator[Block]:
        """Yield the spans in blocks, those of more than about `size` bytes cut as by `cuts`."""
        for block in self._blocks():
            long = (block.sizes > size).any()
            yield _cut(content, block, size, anywhere) if long else block

    def batches(self, content: Content, size: int, *, anywhere: bool = False) -> Iterator[Block]:
        """Yield them cut so and gathered to about `size` bytes; always the same way."""
        rest = Block(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))
        for block in self.parts(content, size, anywhere=anywhere):
            joined = rest.joined(block)
            reached = np.cumsum(joined.sizes)
            start = before = 0
            while (stop := int(np.searchsorted(reached, before + size)) + 1) <= len(reached):
                yield joined.part(slice(start, stop))
                start, before = stop, int(reached[stop - 1])
            rest = joined.part(slice(start, None))
        if len(rest.begins):
            yield rest

    def _documents(self) -> tuple[int, int]:
        """Return the first document of which there is some, and the one behind the last."""
        if self.begin >= self.end:
            return 0, 0
        first = int(np.searchsorted(self.doc_ends, self.begin, "right"))
        last = int(np.searchsorted(self.doc_ends, self.end)) + 1
        return first, min(last, len(self.doc_ends))

    def _blocks(self) -> Iterator[Block]:
        first, last = self._documents()
        for at in range(first, last, _BLOCK):
            bounds = np.zeros(min(_BLOCK, last - at) + 1, np.int64)
            bounds[1:] = self.doc_ends[at : at + len(bounds) - 1]
            bounds[0] = self.doc_ends[at - 1] if at else 0
            begins, ends = np.maximum(bounds[:-1], self.begin), np.minimum(bounds[1:], self.end)
            whole = (bounds[1:] <= self.end) & self.closed
            block = Block(begins, ends, whole)
            yield block if self.chosen is None else block.part(self.chosen[at : at + len(begins)])


def cuts(
    content: Content, begin: int, end: int, size: int, *, anywhere: bool = False
) -> Iterator[tuple[int, int]]:
    """Cut a range of bytes into parts of about `size` of them, between which no token spans.

    A run without any blank stays whole, however long; with `anywhere`, for tokens that are
    characters, it is cut as well.
    """
    find = _behind_character if anywhere else _behind_word
    while end - begin > size and (cut := find(content, max(begin + size - 4, begin), end)):
        yield begin, cut
        begin = cut
    if begin < end:
        yield begin, end


def _cut(content: Content, block: Block, size: int, anywhere: bool) -> Block:
    parts = [
        (begin, end, span.whole and end == span.end)
        for span in map(Span, *(column.tolist() for column in block))
        for begin, end in cuts(content, span.begin, span.end, size, anywhere=anywhere)
    ]
    begins, ends, whole = zip(*parts, strict=True)
    return Block(np.array(begins), np.array(ends), np.array(whole))


def _behind_character(content: Content, at: int, end: int) -> int:
    at += 1  # so that no part is empty, however small they are to be
    while at < end and content[at : at + 1][0] & 0xC0 == 0x80:
        at += 1
    return at


def _behind_word(content: Content, at: int, end: int) -> int | None:
    while at < end:
        stop = min(at + _SEARCHED, end)
        if found := _BEHIND_WORD.search(content[at:stop]):
            return at + found.end()
        at = stop if stop == end else stop - 8  # what lies across is searched again
    return None
