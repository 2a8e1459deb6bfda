"""A place that is a table with its filter line, and the details of what is under its cursor.

Knows entries through the columns and the details pane that its subclass brings.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tuillm.dashboard.screens.place import Place
from tuillm.dashboard.widgets.details import Details
from tuillm.dashboard.widgets.filter import FilterLine
from tuillm.dashboard.widgets.table import Column, EntryTable

E = TypeVar("E")

_LOOKING = "Looking …"


class Listing(Place, Generic[E]):
    """All there is of one kind; `EMPTY` is what a newcomer reads instead of an empty table."""

    COLUMNS: ClassVar[Sequence[Column[Any]]] = ()
    EMPTY = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="list.filter", show=False),
        Binding("escape", "show_all", "Show all again", id="list.all", show=False),
        Binding("i", "details", "Show or hide the details", id="list.details", show=False),
    ]

    def body(self) -> ComposeResult:
        with Horizontal(id="columns"):
            with Vertical(id="list"):
                yield EntryTable(self.COLUMNS, self.key, sort="age", id=self.PLACE)
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
        self.table.display = bool(entries)
        empty = self.query_one("#empty", Static)
        empty.display = not entries
        empty.update(self.EMPTY if self.dashboard.looked else _LOOKING)
        self.query_one(Details).set_class(not entries, "-empty")
        self._show_details()
        self.refresh_bindings()

    @on(EntryTable.Highlighted)
    def _show_details(self) -> None:
        details: Details[E] = self.query_one(Details)
        if details.display:
            details.show(self.current)

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self.table.filter(event.text)

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
