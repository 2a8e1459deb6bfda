"""Records out of tables of text: comma, semicolon, tab or bar between the columns.

How a table is written is judged by its first rows. A quote that nobody closes costs its own row,
not all that follow. Knows rows; knows no file.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from tuillm.errors import TuillmError, brief, printable
from tuillm.text.sources.items import Record
from tuillm.text.sources.open_item import LONGEST, MB, bounded_lines
from tuillm.text.sources.records import Faults

_SAMPLE = 1 << 18
_SAMPLE_ROWS = 200
# the longest row of several lines, in characters: behind a quote that is not closed all is one row
_SPAN = 8 * MB
# how many characters may be read once more behind such quotes, all together
_AGAIN = 128 * MB
_LONGEST_NAME = 200
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")


def csv_records(pieces: Iterable[str], name: str, tabs: bool, faults: Faults) -> Iterator[Record]:
    """Yield the rows below the header, by the names in it; the first of them is number 1.

    `tabs` tells that the file calls itself a table with tabs. Raises TuillmError where the first
    row names no columns.
    """
    # one for the whole process, and only ever raised: a cell may hold an article
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    head, pieces = _head(pieces)
    feed = _Feed(bounded_lines(pieces))
    rows = _rows(feed, _judge(head, tabs))
    first = next(rows, None)
    if first and "".join(first[0][:1]).lower().startswith("sep=") and len(first[0]) < 3:
        first = next(rows, None)  # Excel's note on the delimiter
    names = _names(first, name)
    for number, (cells, fault) in enumerate(rows, 1):
        if not fault and len(cells) != len(names):
            fault = f"has {len(cells):,} columns, the header {len(names):,}"
            feed.back_up()
        if fault:
            faults.add(number, f"{fault} (line {feed.line:,})")
        else:
            yield Record(number, dict(zip(names, cells, strict=True)))


@dataclass(frozen=True)
class _Dialect:
    """How a table is written: what is between columns, and what quotes and backslashes mean."""

    delimiter: str
    quoted: bool = True
    escaped: bool = False

    def reader(self, lines: Iterable[str], strict: bool = False) -> Any:
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            escapechar="\\" if self.escaped else None,
            strict=strict,
        )

    def fits(self, lines: list[str]) -> bool:
        """Whether each quote in the lines of a row stands where one may."""
        try:
            return len([*self.reader((line + "\n" for line in lines), strict=True)]) == 1
        except csv.Error:
            return False


class _TooLong(Exception):
    """A row that is longer than any may be."""


class _Feed:
    """The lines of a table for csv's reader, and those that the present row has taken.

    `line` is the number of the first of them; `ended` tells that the reader wanted more than there
    are.
    """

    def __init__(self, lines: Iterator[str | None]) -> None:
        self.line, self.ended = 1, False
        self.taken: list[str] = []
        self._lines, self._ahead = lines, deque[str | None]()
        self._size, self._again = 0, _AGAIN

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        try:
            line = self._ahead.popleft() if self._ahead else next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self.taken.append(line or "")
        self._size += len(line or "") + 1
        if line is None or (len(self.taken) > 1 and self._size > _SPAN):
            raise _TooLong
        return line + "\n"

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.line += len(self.taken)
        self.taken, self._size = [], 0

    def back_up(self) -> None:
        """Give all lines but the first of a broken row once more, while that is affordable."""
        rest = self.taken[1:]
        self._again -= sum(map(len, rest))
        if self._again > 0:
            self._ahead.extendleft(reversed(rest))
            del self.taken[1:]


def _rows(feed: _Feed, dialect: _Dialect) -> Iterator[tuple[list[str], str]]:
    """Yield the cells of each row that is not blank, and what is wrong with it, or ''."""
    reader = dialect.reader(feed)
    while True:
        feed.begin()
        fault = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLong:
            most = LONGEST if len(feed.taken) == 1 else _SPAN
            cells, fault = [], f"is longer than {most // MB} MB; is a quote not closed?"
        except csv.Error as error:
            cells, fault = [], f"is no row: {error}"
        # where a later row's quote closes it, the number of columns may be right by chance
        unfit = not fault and len(feed.taken) > 1 and not dialect.fits(feed.taken)
        if unfit or feed.ended:
            fault = fault or "opens a quote that is not closed"
        elif any("\0" in line for line in feed.taken):
            fault = fault or "has a NUL"
        elif not fault and not "".join(cells[:2]).strip() and len(cells) < 2:
            continue
        if fault:
            feed.ended = False
            feed.back_up()
        yield cells, fault


def _head(pieces: Iterable[str]) -> tuple[str, Iterator[str]]:
    """The whole lines that a table begins with, and all of its pieces again."""
    rest, found, size = iter(pieces), [], 0
    for piece in rest:
        found.append(piece)
        size += len(piece)
        if size >= _SAMPLE:
            break
    head = "".join(found)[:_SAMPLE]
    return head[: head.rfind("\n") + 1] if size > _SAMPLE else head, chain(found, rest)


def _judge(head: str, tabs: bool) -> _Dialect:
    """Find the dialect by which most of the first rows have as many columns as the header."""
    lines = head.split("\n")
    if re.fullmatch(r"(?i:sep)=[,;:\t|^~]", lines[0]):
        return _Dialect(lines[0][-1])
    best, most = _Dialect("\x1f"), 0.0  # in a table of one column a comma is a comma
    for delimiter in "\t,;|" if tabs else ",;\t|":
        for dialect in _ways_to_quote(delimiter, lines, head):
            share = _share(dialect, lines)
            if share > most:
                best, most = dialect, share
    return best


def _ways_to_quote(delimiter: str, lines: list[str], head: str) -> list[_Dialect]:
    """The dialects with a delimiter, the likelier first."""
    found = [_Dialect(delimiter)]
    if '\\"' in head:
        found.append(_Dialect(delimiter, escaped=True))
    if delimiter in "\t|":
        cells = (cell for line in lines[:_SAMPLE_ROWS] for cell in line.split(delimiter))
        plain = any(cell.startswith('"') != (len(cell) > 1 and cell[-1] == '"') for cell in cells)
        found.insert(0 if plain else len(found), _Dialect(delimiter, quoted=False))
    return found


def _share(dialect: _Dialect, lines: list[str]) -> float:
    """The share of the first rows with as many columns as the header, which has two or more."""
    widths = []
    try:
        for cells in islice(dialect.reader(line + "\n" for line in lines), _SAMPLE_ROWS):
            widths += [len(cells)] if cells else []
    except csv.Error:
        pass
    widths = widths[:-1] if len(widths) > 20 else widths  # the last one may be cut
    if not widths or widths[0] < 2:
        return 0.0
    return widths.count(widths[0]) / len(widths)


def _names(first: tuple[list[str], str] | None, name: str) -> list[str]:
    """The names of the columns, each another; raises TuillmError where they look like data."""
    if first is None:
        raise TuillmError(f"{name} is empty", "a table has a line of names, and rows below it")
    cells, fault = first
    if fault:
        raise TuillmError(f"the first row of {name} {fault}", "correct it, or take it out")
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        plain = cell.strip()
        words = plain.split() if len(plain) <= _LONGEST_NAME else []
        if plain and (not words or _NUMBER.fullmatch(plain) or (words[2:] and plain[-1] in ".!")):
            raise TuillmError(
                f"the first row of {name} looks like data, not like names of columns: "
                f"{printable(brief(plain))}",
                "put a line of names on top, for example: text,label",
            )
        found = plain or f"column_{number}"
        names[found if found not in names else f"{found}_{number}"] = None
    if len(names) < len(cells):
        raise TuillmError(f"{name} has columns of the same name", "give each a name of its own")
    return list(names)
