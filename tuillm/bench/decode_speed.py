"""How fast tokens come, one at a time with a cache: tuillm and other programs in turns.

Knows what a program is; each decodes greedily from the same prompt, and its prefill is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import torch

# the prompt's length in tokens, as short as a question
PROMPT = list(range(100, 116))


@dataclass(frozen=True)
class Program:
    """A program in one precision: `seconds_a_token(tokens)` decodes so many tokens.

    `bytes_a_token` is what it has to read of weights for each, by which memory limits it.
    """

    program: str
    dtype: str
    threads: int
    bytes_a_token: int
    seconds_a_token: Callable[[int], float]


@dataclass(frozen=True)
class Speed:
    """Tokens a second: the median, the slow tenth and the fast tenth of the rounds.

    `of_limit` is the median's share of what the memory's bandwidth allows, `against` the median of
    this program's speed divided by that of tuillm in the same precision, round by round.
    """

    program: str
    dtype: str
    threads: int
    tokens_per_sec: float
    slow: float
    fast: float
    of_limit: float
    against: float | None = None


def measure_in_turns(
    programs: Sequence[Program],
    tokens: int,
    rounds: int,
    bandwidth: dict[int, float],
    tell: Callable[[float], None] = lambda share: None,
) -> list[Speed]:
    """Let all of them decode in turns; return the speed of each, in their order.

    `bandwidth` is in bytes a second by number of threads. `tell` is told how far they are, 0 to 1.
    """
    most = torch.get_num_threads()
    rates: list[list[float]] = [[] for _ in programs]
    try:
        for number in range(rounds):
            for index, each in enumerate(programs):
                torch.set_num_threads(each.threads)
                rates[index].append(1 / each.seconds_a_token(tokens))
            tell((number + 1) / rounds)
    finally:
        torch.set_num_threads(most)
    ours = {
        (each.dtype, each.threads): rates[index]
        for index, each in enumerate(programs)
        if each.program == "tuillm"
    }
    return list(_speeds(programs, rates, ours, bandwidth))


def _speeds(
    programs: Sequence[Program],
    rates: list[list[float]],
    ours: dict[tuple[str, int], list[float]],
    bandwidth: dict[int, float],
) -> Iterator[Speed]:
    for each, mine in zip(programs, rates, strict=True):
        limit = bandwidth[each.threads] / each.bytes_a_token
        base = ours.get((each.dtype, each.threads))
        against = None
        if base and each.program != "tuillm":
            against = median(a / b for a, b in zip(mine, base, strict=True))
        tenths = quantiles(mine, n=10, method="inclusive") if len(mine) > 1 else mine * 9
        yield Speed(
            each.program,
            each.dtype,
            each.threads,
            median(mine),
            tenths[0],
            tenths[-1],
            median(mine) / limit,
            against,
        )
