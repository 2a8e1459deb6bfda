"""Numbers, sizes and times as a person reads them, the same on every screen.

They may come out of anybody's files: what is no number, or beyond all measure, is '-'. Knows
nothing of the rest of the program.
"""

import time
from typing import TypeGuard

_LARGEST = 1e15
# from where on a number is rounded up to the next unit: 999,600 is '1M', not '1e+03k'
_NEARLY = 0.9995


def count(number: int | float | None) -> str:
    """12,345,678 as '12.3M'."""
    if not _measured(number):
        return "-"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit * _NEARLY:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.0f}"


def several(number: int, what: str) -> str:
    """1 and 'run' as '1 run', 2,000 as '2,000 runs'."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def size(number: int | float) -> str:
    """12,345,678 bytes as '12.3 MB'."""
    if not _measured(number):
        return "-"
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit * _NEARLY:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float | None) -> str:
    """75.2 seconds as '1:15', 4000 as '1:06:40'."""
    if not _measured(seconds):
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def roughly(seconds: float | None) -> str:
    """75 seconds as '75 s', 300 as '5 min', 4000 as '1.1 h'."""
    if not _measured(seconds):
        return "-"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length or seconds == length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.0f} s"


def age(moment: float | None) -> str:
    """A time since 1970 as '5 min ago'."""
    return span(time.time() - moment) if _measured(moment) and moment else "-"


def span(seconds: float) -> str:
    """Seconds that have passed as '5 min ago'."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def figure(value: float | None, digits: int = 3) -> str:
    """A measured number, or '-' where nothing was measured."""
    return f"{value:.{digits}f}" if _measured(value) else "-"


def percent(share: float | None) -> str:
    """A share of 1 as '42%', within 0 and 100; '-' where it is no number."""
    return f"{min(max(share, 0.0), 1.0):.0%}" if _measured(share) else "-"


def _measured(number: object) -> TypeGuard[float]:
    return isinstance(number, int | float) and -_LARGEST < number < _LARGEST
