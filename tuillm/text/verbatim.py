"""The memorisation meter: which parts of a text stand word for word in a book, and where.

Runs of whitespace count as one blank, so that line wraps hide nothing. Knows strings; knows
neither models nor tokens.

All pieces of the book that are just long enough to count are hashed at once; only where the text
has one of them is the book searched, for it and then for ever longer ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SHORTEST = 20
_SLICE = 1 << 16  # the hashes of so many pieces stay in a processor's cache
_TABLE_BITS = 20
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, as in multiplicative hashing
_BLANKS = np.array([chr(point).isspace() for point in range(0x3002)])  # none lie beyond
_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|"
    "twenty|thirty|forty|fifty"
)
_HEADING = re.compile(
    r"#{1,6} .+|(?:chapter|part|book|act|scene|canto|letter|kapitel|teil|chapitre|livre|"
    rf"cap[ií]tulo|capitolo|глава|часть|книга)\s+(?:\d+|[ivxlc]+|{_NUMBERS})\b.*|"
    r"\d+[-.]?\s*(?:тарау|бөлім)\b.*|第.{1,6}[章回卷].*",
    re.IGNORECASE,
)
_LONGEST_HEADING = 80


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of the text, which stand in the book from character `offset` on.

    Their whitespace may differ there, so the two may differ in length.
    """

    start: int
    end: int
    offset: int


@dataclass(frozen=True)
class Location:
    """Where a character of a book stands: its line, from 1, and how far into the book, 0 to 1.

    `heading` is the last line up to it that looks like a chapter's, or "" in books without.
    """

    offset: int
    line: int
    portion: float
    heading: str


@dataclass(frozen=True)
class Verbatim:
    """What of a text stands in a book: `spans` in order, and their `share` of the text, 0 to 1.

    `longest` is the first of the longest spans, `passage` its characters as the text has them,
    and `location` where the book has them first; None and "" where nothing was found.
    """

    spans: tuple[Span, ...]
    share: float
    longest: Span | None
    passage: str
    location: Location | None


def find_verbatim(reply: str, book: str, *, shortest: int = SHORTEST) -> Verbatim:
    """Return the parts of `reply` that stand in `book`, of at least `shortest` characters.

    From the left: where a part begins, the longest that the book has is taken, and the search
    goes on behind it. So spans never overlap, and one that follows another directly may lack what
    it shares with that. Lengths count a run of whitespace as one character. Of several places in
    the book the first is told. Raises ValueError for `shortest` below 1.
    """
    if shortest < 1:
        raise ValueError(f"shortest is {shortest}, but must be 1 or more")
    ours, theirs = _Plain(reply), _Plain(book)
    spans: list[Span] = []
    longest, most = None, 0
    for start, size, at in _matches(ours, theirs, shortest):
        spans.append(Span(ours.original(start), ours.original(start + size), theirs.original(at)))
        if size > most:
            longest, most = spans[-1], size
    share = sum(span.end - span.start for span in spans) / max(len(reply), 1)
    if longest is None:
        return Verbatim((), share, None, "", None)
    passage = reply[longest.start : longest.end]
    return Verbatim(tuple(spans), share, longest, passage, locate(book, longest.offset))


def locate(book: str, offset: int) -> Location:
    """Return where character `offset` of a book stands."""
    line = book.count("\n", 0, offset) + 1
    end = book.find("\n", offset)
    lines = book[: end if end >= 0 else len(book)].split("\n")
    headings = (lines[number] for number in range(line - 1, -1, -1) if _is_heading(lines, number))
    return Location(offset, line, offset / max(len(book), 1), " ".join(next(headings, "").split()))


class _Plain:
    """A text with one blank for each run of whitespace: as `string` and as `codes` [N]."""

    def __init__(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        blank = _BLANKS[np.minimum(codes, len(_BLANKS) - 1)]
        keep = ~blank
        keep[1:] |= ~blank[:-1]
        keep[:1] = True
        self.codes = np.where(blank, np.uint32(32), codes)[keep]
        self.string = self.codes.tobytes().decode("utf-32-le", "surrogatepass")
        self._positions = np.flatnonzero(keep)
        self._end = len(text)

    def original(self, index: int) -> int:
        """Return where a character, or the end, stands in the text as it was given."""
        return int(self._positions[index]) if index < len(self._positions) else self._end


def _matches(ours: _Plain, theirs: _Plain, shortest: int) -> Iterator[tuple[int, int, int]]:
    """Yield start and size of each part found, and where it begins in the book."""
    end = 0
    for start in _occurring(ours.codes, theirs.codes, shortest):
        if start >= end:
            size, at = _longest(ours.string, start, theirs.string, shortest)
            if size:  # else two hashes were the same by chance
                yield start, size, at
                end = start + size


def _longest(text: str, start: int, book: str, size: int) -> tuple[int, int]:
    """Return the size of the longest piece from text[start] that the book has, and its place.

    Sizes below `size` count as 0. A longer piece never begins before a shorter one's first place,
    so the book is gone through once.
    """
    longest = (0, -1)
    at = book.find(text[start : start + size])
    while at >= 0:
        rest = min(len(text) - start, len(book) - at)
        while size < rest and text[start + size] == book[at + size]:
            size += 1
        longest = (size, at)
        if start + size == len(text):
            break
        size += 1
        at = book.find(text[start : start + size], at + 1)
    return longest


def _occurring(codes: np.ndarray, book: np.ndarray, size: int) -> list[int]:
    """Return where pieces of `size` codes begin that, by their hash, the book has too."""
    if min(len(codes), len(book)) < size:
        return []
    ours = _hashes(codes, size)
    known, number = np.unique(ours, return_inverse=True)
    shift = np.uint64(64 - _TABLE_BITS)
    table = np.zeros(1 << _TABLE_BITS, bool)  # lets through all of ours and few others
    table[known >> shift] = True
    found = np.zeros(len(known), bool)
    for first in range(0, len(book) - size + 1, _SLICE):
        theirs = _hashes(book[first : first + _SLICE + size - 1], size)
        theirs = theirs[table[theirs >> shift]]
        nearest = np.minimum(np.searchsorted(known, theirs), len(known) - 1)
        found[nearest[known[nearest] == theirs]] = True
    return np.flatnonzero(found[number]).tolist()


def _hashes(codes: np.ndarray, size: int) -> np.ndarray:
    """Return a hash of 64 bits for each piece of `size` codes [N], [N - size + 1] in all.

    Polynomials of a piece's codes (Karp and Rabin 1987), made of those of half the length.
    """
    factor, length = _MULTIPLIER, 1
    hashes = codes.astype(np.uint64) * np.uint64(factor)
    while 2 * length <= size:
        hashes = hashes[:-length] * np.uint64(factor) + hashes[length:]
        factor, length = factor * factor % (1 << 64), 2 * length
    rest = size - length  # two that overlap make up the whole
    return hashes[: len(hashes) - rest] * np.uint64(factor) + hashes[rest:] if rest else hashes


def _is_heading(lines: list[str], number: int) -> bool:
    """Whether a line stands behind an empty one and names a chapter or a part by its number."""
    line = lines[number].strip()
    stands_apart = number == 0 or not lines[number - 1].strip()
    return stands_apart and len(line) <= _LONGEST_HEADING and bool(_HEADING.fullmatch(line))
