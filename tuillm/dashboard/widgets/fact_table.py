"""Names and values in two columns, as every details pane draws them."""

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

Fact = tuple[str, str]


def heading(text: str, colors: Mapping[str, str]) -> Text:
    """The title of a section."""
    return Text(text, style=f"bold {colors['secondary']}")


def facts(rows: Iterable[Fact], colors: Mapping[str, str]) -> Table:
    """A section: names muted, values foldable, rows without a value left out, a blank line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style=colors.get("muted", ""))
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(Text(name), Text(value))
    table.add_row("", "")
    return table
