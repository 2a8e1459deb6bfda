"""How long the program takes to start, do a small thing and end, beside an empty Python."""

import sys
from collections.abc import Iterator
from functools import partial

from tuillm.bench.bench_record import OURS
from tuillm.bench.process_time import seconds_to_end
from tuillm.bench.turns import Program

_COMMANDS = ("--version", "--help", "list")


def startup_programs(threads: int) -> Iterator[Program]:
    """Yield what answers at once: `tuillm --version`, `--help`, and `list` of your own models."""
    for word in _COMMANDS:
        command = [sys.executable, "-P", "-m", "tuillm", word]
        once = partial(seconds_to_end, command)
        yield Program("start-up", OURS, word, threads, "s", once)
    empty = partial(seconds_to_end, [sys.executable, "-c", "pass"])
    yield Program("start-up", "python", "-c pass", threads, "s", empty)
