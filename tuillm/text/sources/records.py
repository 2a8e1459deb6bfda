"""What a table is read as: records one after the other, and what of them was broken.

Knows no format: those are functions that yield records and tell their faults.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tuillm.errors import TuillmError, one_line, shorten
from tuillm.text.sources.items import Record

_FIRST = 10


@dataclass
class Faults:
    """What was wrong in one reading of a table: `count` lines, the `first` ten by number.

    `reason` is that of the first one, `notes` are remarks on the whole.
    """

    name: str
    unit: str = "line"
    strict: bool = False
    count: int = 0
    first: list[int] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    def add(self, number: int, why: str) -> None:
        """Count a broken line; raises TuillmError when strict. `why` goes on with "it"."""
        why = shorten(one_line(why))
        if self.strict:
            raise TuillmError(
                f"{self.unit} {number:,} of {self.name} is broken: it {why}",
                "correct it, or take it out",
            )
        self.reason = self.reason or why
        self.count += 1
        if len(self.first) < _FIRST:
            self.first.append(number)


class Records:
    """The records of one table, read anew at each iteration, never all in memory.

    What of them was broken is known while and after they are iterated over: `broken` are the
    numbers of the first ten (lines of JSONL, else rows, both from 1), `broken_count` how many there
    were, `broken_reason` what was wrong with the first one. `notes` are remarks on the whole, on
    its encoding for example. An iteration raises TuillmError for a table that cannot be read, and
    with `strict` for the first broken line.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[Faults], Iterator[Record]],
        *,
        unit: str = "row",
        strict: bool = False,
    ) -> None:
        self.name = name
        self._read = read
        self._unit = unit
        self._strict = strict
        self._faults = Faults(name, unit)

    def __iter__(self) -> Iterator[Record]:
        self._faults = Faults(self.name, self._unit, self._strict)
        return self._read(self._faults)

    @property
    def broken(self) -> list[int]:
        """The numbers of the first ten that were broken, by the last iteration so far."""
        return self._faults.first

    @property
    def broken_count(self) -> int:
        """How many were broken, by the last iteration so far."""
        return self._faults.count

    @property
    def broken_reason(self) -> str:
        """What was wrong with the first that was broken, behind "it"; '' where none was."""
        return self._faults.reason

    @property
    def notes(self) -> list[str]:
        """Remarks on the whole, by the last iteration so far."""
        return self._faults.notes
