"""Programs that are measured take turns, so that what else the machine does counts for all.

Knows what a program is; does not know what it measures.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import torch

from tuillm.bench.bench_record import OURS, TIMES, Measurement
from tuillm.errors import TuillmError, one_line

# rounds where no number was asked for, and the seconds that they may take
_LEAST, _MOST, _SECONDS = 3, 7, 30.0


@dataclass(frozen=True)
class Program:
    """A program in one case of a measure: `once()` does the work and returns the value in `unit`.

    It is called with torch's number of threads set to `threads`. `limit` is the best value that
    the machine allows, None where that is not known.
    """

    measure: str
    program: str
    case: str
    threads: int
    unit: str
    once: Callable[[], float]
    limit: float | None = None


def take_turns(
    programs: Sequence[Program],
    rounds: int | None,
    tell: Callable[[float], None] = lambda share: None,
) -> list[Measurement]:
    """Let all of them work in turns, `rounds` times; return what each came to, in their order.

    Without a number there are three rounds, and up to seven while they take half a minute in all.
    `tell` is told how far they are, 0 to 1. Raises TuillmError where another program fails.
    """
    most = torch.get_num_threads()
    values: list[list[float]] = [[] for _ in programs]
    try:
        begin = time.monotonic()
        for number in range(rounds or _MOST):
            passed = time.monotonic() - begin
            if not rounds and number >= _LEAST and passed / number * (number + 1) > _SECONDS:
                break
            for index, each in enumerate(programs):
                torch.set_num_threads(each.threads)
                values[index].append(_value(each))
                tell((number + (index + 1) / len(programs)) / (rounds or _MOST))
    finally:
        torch.set_num_threads(most)
    return list(_measurements(programs, values))


def _value(program: Program) -> float:
    try:
        return program.once()
    except TuillmError:
        raise
    except Exception as error:
        if program.program == OURS:
            raise
        words = one_line(f"{type(error).__name__}: {error}")
        raise TuillmError(
            f"{program.program} failed in {program.measure}, {program.case}: {words:.300}",
            "tuillm bench --no-peers",
        ) from error


def _measurements(programs: Sequence[Program], values: list[list[float]]) -> Iterator[Measurement]:
    ours = {
        (each.measure, each.case, each.threads): values[index]
        for index, each in enumerate(programs)
        if each.program == OURS
    }
    for each, mine in zip(programs, values, strict=True):
        base = ours.get((each.measure, each.case, each.threads))
        against = None
        if base and each.program != OURS:
            faster = (a / b for a, b in zip(mine, base, strict=True))
            against = median(1 / ratio if each.unit in TIMES else ratio for ratio in faster)
        tenths = quantiles(mine, n=10, method="inclusive") if len(mine) > 1 else mine * 9
        slow, fast = (tenths[-1], tenths[0]) if each.unit in TIMES else (tenths[0], tenths[-1])
        yield Measurement(
            each.measure,
            each.program,
            each.case,
            each.threads,
            each.unit,
            median(mine),
            slow,
            fast,
            median(mine) / each.limit if each.limit else None,
            against,
        )
