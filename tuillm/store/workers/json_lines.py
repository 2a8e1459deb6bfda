"""Reads what a process of ours prints: a JSON object a line. The only place that does.

A library may print something in between, and a process may break off: neither goes by without a
word. Knows lines; knows nothing of what the objects mean.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from tuillm.errors import TuillmError, printable
from tuillm.formats.json_text import JsonObject

_LONGEST_LINE = 300
_TAIL = 16 * 1024

# called with a line that is no JSON object, safe to print and cut to a sentence
Stray = Callable[[str], None]


def read_objects(lines: Iterable[str], stray: Stray) -> Iterator[JsonObject]:
    """Yield the objects; every other line that is not blank goes to `stray`.

    A last line without its end is torn, and left out.
    """
    for line in lines:
        if not line.endswith("\n"):
            return
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            yield found
        elif words := printable(line).strip():
            stray(words[:_LONGEST_LINE])


def read_answer(lines: Iterable[str], what: str) -> JsonObject:
    """Return the one object that a process has to say; raises TuillmError where there is none."""
    strays: list[str] = []
    answer = next(read_objects(lines, strays.append), None)
    for line in strays:
        warn_on_stderr(what, line)
    if answer is None:
        raise TuillmError(f"{what} gave no answer" + (f": {strays[-1]}" if strays else ""))
    return answer


def warn_on_stderr(what: str, line: str) -> None:
    """Say on stderr, which is a worker's log, what a process printed besides its objects."""
    if sys.stderr is not None:
        print(f"tuillm: {what} printed: {line}", file=sys.stderr, flush=True)


def last_line(file: BinaryIO) -> str:
    """Return the last line of a process's stderr, safe to print; '' where there is none."""
    file.seek(max(file.seek(0, 2) - _TAIL, 0))
    lines = printable(file.read().decode("utf-8", "replace")).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:_LONGEST_LINE]
