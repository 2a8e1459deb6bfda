"""How tables, facts and questions look on the command line. Knows rich; knows no models."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from tuillm.json_text import to_json

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def refuse_unless_confirmed(question: str, yes: bool) -> None:
    """Ask on a terminal before something is lost; click.Abort when the answer is no.

    `yes` answers beforehand; a script is not asked.
    """
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    if not click.confirm(question):
        print("nothing was removed")
        raise click.Abort


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(to_json(value, indent=2))


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

    Where it is too wide its columns move together, then names fold, then all do. Piped, it is
    plain and on one line a row.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    piped = not sys.stdout.isatty()
    console = Console(width=100_000 if piped else None, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        justify: Any = "right" if column in right.split() else "left"
        folds = not piped and (place == 0 or column == "model")
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not folds)
    for row in rows:
        table.add_row(*map(Text, row))
    unbounded = console.options.update(max_width=100_000)
    table.collapse_padding = console.measure(table, options=unbounded).maximum > console.width
    if console.measure(table, options=unbounded).minimum > console.width:
        for each in table.columns:  # rather folded than cut
            each.no_wrap = False
    console.print(table)
