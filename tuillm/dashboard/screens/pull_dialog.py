"""The question what to pull from the hub: a table of the known models over a line for any other.

Knows rows of names and facts; fetches nothing.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tuillm.dashboard.pull_actions import Pullable
from tuillm.dashboard.screens.dialogs import LineDialog
from tuillm.dashboard.widgets.paged_options import PagedOptions

_COLUMNS = ("name", "family", "params", "size", "context", "licence", "")
_WIDTHS = (18, 6, 7, 9, 9, 12, 6)
_RIGHT = ("params", "size", "context")


class PullDialog(LineDialog):
    """A table over a line of text; arrows choose, Enter pulls, Escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Next", id="pull.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="pull.up", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        check: Callable[[str], object] | None = None,
        note: str = "",
        problem: str = "",
        rows: Sequence[Pullable] = (),
    ) -> None:
        """`rows` is what can be chosen; for the rest see `LineDialog`."""
        super().__init__(title, value, check=check, note=note, problem=problem)
        self._rows = {row.typed: row for row in rows}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(self._title, classes="title", markup=False)
            yield Static(_line(_COLUMNS), classes="head")
            yield PagedOptions(
                *(Option(_row(row), id=typed) for typed, row in self._rows.items()), compact=True
            )
            yield from self.compose_line()
            yield Static("↑ ↓ choose or type, Enter pulls, Escape cancels", classes="hint")

    def on_mount(self) -> None:
        super().on_mount()
        if self._value in self._rows:
            self.query_one(OptionList).highlighted = list(self._rows).index(self._value)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.highlighted = (
            0 if options.highlighted is None else (options.highlighted + by) % len(self._rows)
        )

    @on(OptionList.OptionHighlighted)
    def _chosen(self, event: OptionList.OptionHighlighted) -> None:
        line = self.query_one(Input)
        line.value = str(event.option.id)
        line.cursor_position = len(line.value)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option.id))


def _row(row: Pullable) -> Text:
    if not row.family:  # another one, that was begun
        return Text.assemble((f"{row.typed} ", "bold"), row.state, no_wrap=True)
    cells = (row.typed, row.family, row.parameters, row.size, row.context, row.licence, row.state)
    return _line(cells)


def _line(cells: Sequence[str]) -> Text:
    """One line of the table; a name alone may be as long as it is."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for cell, width, column in zip(cells, _WIDTHS, _COLUMNS, strict=True):
        shown = f"{cell:>{width}}" if column in _RIGHT else f" {cell:<{width - 1}}"
        line.append(shown[1:] if column == "name" else shown, "bold" if column == "name" else "")
    return line
