"""How numbers, times and tables look on the command line. Knows rich; knows no models."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_facts(facts: dict[str, Any]) -> None:
    """Print names and values in two columns, numbers for people."""
    width = max(map(len, facts))
    for name, value in facts.items():
        if isinstance(value, float):
            shown = f"{value:,.4f}" if value < 1000 else f"{value:,.0f}"
        elif isinstance(value, int) and not isinstance(value, bool):
            shown = f"{value:,}"
        else:
            shown = str(value)
        print(f"{name.replace('_', ' '):<{width}}  {shown}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> None:
    """Print an aligned table; the columns named in `right` are set flush right.

    Piped, it is plain and never cut.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    piped = not sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Any = "right" if column in right.split() else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=piped)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=100_000 if piped else None, highlight=False).print(table)


def count(number: int | float | None) -> str:
    """12,345,678 as '12.3M'."""
    if number is None:
        return "-"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.0f}"


def size(number: int | float) -> str:
    """12,345,678 bytes as '12.3 MB'."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float | None) -> str:
    """75.2 seconds as '1:15', 4000 as '1:06:40'."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def age(moment: float | None) -> str:
    """A time since 1970 as '5 min ago'."""
    if not moment:
        return "-"
    passed = max(time.time() - moment, 0)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{passed // length:.0f} {unit} ago"
    return "just now"


def figure(value: float | None, digits: int = 3) -> str:
    """A measured number, or '-' where nothing was measured."""
    return "-" if value is None else f"{value:.{digits}f}"
