"""A screen that is a table with its filter line, and the details of what is under its cursor.

Knows entries through the columns and the details pane that its subclass brings.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.widgets.details import Details
from tuillm.dashboard.widgets.filter import FilterLine
from tuillm.dashboard.widgets.table import Column, EntryTable

E = TypeVar("E")

_LOOKING = "Looking …"
_NO_MATCH = "Nothing matches. Escape shows all again."


class TableScreen(BaseScreen, Generic[E]):
    """All there is of one kind; `EMPTY` is what a newcomer reads instead of an empty table."""

    COLUMNS: ClassVar[Sequence[Column[Any]]] = ()
    EMPTY = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="list.filter", show=False),
        Binding("escape", "show_all", "Show all again", id="list.all", show=False),
        Binding("i", "details", "Show or hide the details", id="list.details", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sought = ""

    def body(self) -> ComposeResult:
        with Horizontal(id="columns"):
            with Vertical(id="list"):
                yield EntryTable(self.COLUMNS, self.key, sort="age", id=self.NAV)
                yield FilterLine()
                yield Static(_LOOKING, id="empty", markup=False)
                yield from self.below()
            yield self.details()

    def key(self, entry: E) -> str:
        """What tells entries apart."""
        raise NotImplementedError

    def details(self) -> Details[E]:
        """A new pane for the details of one entry."""
        raise NotImplementedError

    def below(self) -> ComposeResult:
        """What stands under the table."""
        yield from ()

    def on_mount(self) -> None:
        self.table.focus()

    def seek(self, key: str) -> None:
        """Put the cursor on an entry, as soon as it is there."""
        self._sought = key
        if self.is_mounted:
            self._find()

    def _find(self) -> None:
        if self._sought in map(self.key, self.table.rows):
            self.table.move_to(self._sought)
            self._sought = ""

    @property
    def table(self) -> EntryTable[E]:
        """The table of the entries."""
        return self.query_one(EntryTable)

    @property
    def current(self) -> E | None:
        """The entry under the cursor."""
        return self.table.current

    def show(self, entries: Sequence[E]) -> None:
        """Show these from now on."""
        self.table.show(entries)
        self._find()
        self._show_rows()
        self.query_one(Details).set_class(not entries, "-empty")
        self._show_details()
        self.refresh_bindings()

    @on(EntryTable.Highlighted)
    def _highlighted(self) -> None:
        self._show_details()
        self.refresh_bindings()

    def _show_details(self) -> None:
        details: Details[E] = self.query_one(Details)
        if details.display:
            details.show(self.current)

    def _show_rows(self) -> None:
        """Show the table, or in its place why nothing stands in it."""
        empty = self.query_one("#empty", Static)
        self.table.display = bool(self.table.rows)
        empty.display = not self.table.rows
        if self.table.filled:
            empty.update(_NO_MATCH)
        else:
            empty.update(self.EMPTY if self.dashboard.has_snapshot else _LOOKING)

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self.table.filter(event.text)
        self._show_rows()

    @on(FilterLine.Left)
    def _left(self) -> None:
        self.table.focus()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_show_all(self) -> None:
        self.query_one(FilterLine).action_close()

    def action_details(self) -> None:
        self.query_one(Details).toggle_class("-toggled")
        self._show_details()
