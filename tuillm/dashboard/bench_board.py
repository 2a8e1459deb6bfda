"""From kept runs of `tuillm bench` to what is shown of them: the newest figures, and their history.

Knows records; draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tuillm.bench.bench_history import BenchRun
from tuillm.bench.bench_record import MEASURES, OURS, Key, Measurement


@dataclass(frozen=True)
class Board:
    """All runs with one model on one machine, the oldest first; there is one at least."""

    fingerprint: str
    model: str
    runs: tuple[BenchRun, ...]

    @property
    def newest(self) -> list[Measurement]:
        """The last result of each measurement, in the order of the measures; ours come first."""
        found: dict[Key, Measurement] = {}
        for run in self.runs:
            for each in run.results:
                found.pop(each.key, None)  # the order is that of the newest run
                found[each.key] = each
        order = list(MEASURES)
        known = [each for each in found.values() if each.measure in MEASURES]
        return sorted(known, key=lambda each: (order.index(each.measure), each.program != OURS))

    def history(self, chosen: Measurement) -> dict[str, tuple[list[int], list[float]]]:
        """Numbers of the runs, from 1, and values in them, by program; that of `chosen` is first.

        They are of the same measure, case and number of threads; only runs with any of these count.
        """
        found: dict[str, tuple[list[int], list[float]]] = {chosen.program: ([], [])}
        same = chosen.measure, chosen.case, chosen.threads
        alike = [
            [each for each in run.results if (each.measure, each.case, each.threads) == same]
            for run in self.runs
        ]
        for number, results in enumerate(filter(None, alike), 1):
            for each in results:
                numbers, values = found.setdefault(each.program, ([], []))
                numbers.append(number)
                values.append(each.value)
        return found


def boards_of(runs: Sequence[BenchRun]) -> list[Board]:
    """Return the boards of all kept runs, that of the newest run first."""
    groups: dict[tuple[str, str], list[BenchRun]] = {}
    for run in runs:
        groups.setdefault((run.fingerprint, run.model), []).append(run)
    boards = [Board(*key, tuple(group)) for key, group in groups.items()]
    return sorted(boards, key=lambda board: -board.runs[-1].time)
