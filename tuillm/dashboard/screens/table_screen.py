"""A screen that is a table with its filter line, and the details of what is under its cursor.

Knows entries through the columns and the details pane that its subclass brings.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.widgets.border_title import set_border_title
from tuillm.dashboard.widgets.columns import Column
from tuillm.dashboard.widgets.details import Details
from tuillm.dashboard.widgets.filter import FilterLine
from tuillm.dashboard.widgets.table import EntryTable

if TYPE_CHECKING:
    from tuillm.dashboard.widgets.run_curve import RunCurve
    from tuillm.store.run_folder import Run

E = TypeVar("E")

_LOOKING = "Looking …"
_NO_MATCH = "Nothing matches. Escape shows all again."


class TableScreen(BaseScreen, Generic[E]):
    """All there is of one kind; `EMPTY` is what a newcomer reads instead of an empty table."""

    COLUMNS: ClassVar[Sequence[Column[Any]]] = ()
    EMPTY = ""
    # what the entries are called, where that is not the name of the screen
    TITLE_WORDS = ""
    # whether entries have a run, whose curve stands beside them
    CURVE = True
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
            with Vertical(id="list", classes="panel"):
                yield EntryTable(self.COLUMNS, self.key, sort="age", id=self.NAV)
                yield FilterLine()
                yield Static(_LOOKING, id="empty", markup=False)
                yield from self.below()
            with Vertical(id="beside"):
                yield from self.figures()
                yield self.details()

    def key(self, entry: E) -> str:
        """What tells entries apart."""
        raise NotImplementedError

    def details(self) -> Details[E]:
        """A new pane for the details of one entry."""
        raise NotImplementedError

    def figures(self) -> ComposeResult:
        """What stands between the curve and the details."""
        yield from ()

    def run_of(self, entry: E) -> "tuple[Run, bool] | None":
        """The run whose curve is drawn beside an entry, and whether it measures held-out text."""
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
        self.query_one("#beside").set_class(not entries, "-empty")
        self._show_details()
        self.refresh_bindings()

    @on(EntryTable.Highlighted)
    def _highlighted(self) -> None:
        self._show_details()
        self.refresh_bindings()

    def _show_details(self) -> None:
        if not self.query_one("#beside").display:
            return
        details: Details[E] = self.query_one(Details)
        details.show(self.current)
        if curve := self._curve():
            run = self.run_of(self.current) if self.current is not None else None
            curve.follow(run and run[0], held_out=not run or run[1])

    def _curve(self) -> "RunCurve | None":
        """The chart beside the list, put there once there is room for one.

        It brings numpy along, which the first frame must not wait for.
        """
        room = self.has_class("-wide") and self.has_class("-tall")
        if not self.CURVE or not self.query_one(EntryTable).filled or not room:
            return None
        for there in self.query("RunCurve"):
            return cast("RunCurve", there)
        from tuillm.dashboard.widgets.run_curve import RunCurve

        beside, curve = self.query_one("#beside"), RunCurve()
        beside.mount(curve, before=0)
        self.call_after_refresh(self._show_details)
        return None

    def _show_rows(self) -> None:
        """Show the table, or in its place why nothing stands in it."""
        shown, there = len(self.table.rows), self.table.count
        of_all = f" of {there}" if shown != there else ""
        title = f"{self.TITLE_WORDS or self.NAV} · {shown}{of_all}"
        set_border_title(self.query_one("#list"), title)
        empty = self.query_one("#empty", Static)
        self.table.display = bool(self.table.rows)
        empty.display = not self.table.rows
        if empty.display:
            nothing = self.EMPTY if self.dashboard.has_snapshot else _LOOKING
            empty.update(_NO_MATCH if self.table.filled else nothing)

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
        self.query_one("#beside").toggle_class("-toggled")
        self._show_details()

    @on(events.ScreenSuspend)
    def _left_screen(self) -> None:
        for curve in self.query("RunCurve"):
            cast("RunCurve", curve).pause()

    @on(events.ScreenResume)
    def _came_back(self) -> None:
        for curve in self.query("RunCurve"):
            cast("RunCurve", curve).resume()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_details)  # there may be room now, or none any more
