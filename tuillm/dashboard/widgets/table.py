"""A table of entries that sorts, filters and marks, and draws only the rows one can see.

Knows entries through its columns alone. Textual's DataTable measures every cell whenever its
rows change, a fifth of a second for a thousand rows; here a key press costs what is on screen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from tuillm.dashboard.widgets.columns import GAP, Column, columns_in, fit_text
from tuillm.errors import one_line

E = TypeVar("E")


class EntryTable(ScrollView, Generic[E], can_focus=True):
    """Rows of entries under a head that stays; the cursor keeps to its entry when rows move."""

    ROLES: ClassVar = (
        "head",
        "cursor",
        "muted",
        "success",
        "warning",
        "error",
        "secondary",
        "accent",
        "mark",
    )
    COMPONENT_CLASSES = {f"table--{role}" for role in ROLES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", id="table.down", show=False),
        Binding("up,k", "move(-1)", "Previous", id="table.up", show=False),
        Binding("g,home", "to(0)", "First", id="table.first", show=False),
        Binding("G,end", "to(-1)", "Last", id="table.last", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", id="table.page_down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", id="table.page_up", show=False),
        Binding("s", "sort(1)", "Sort by the next column", id="table.sort", show=False),
        Binding("S", "reverse", "Turn the order around", id="table.reverse", show=False),
        Binding("enter", "choose", "Open", id="table.open", show=False),
    ]

    @dataclass
    class Highlighted(Message):
        """The cursor stands on another entry, or on none."""

        table: "EntryTable[Any]"
        entry: Any

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, EntryTable.Highlighted)

    @dataclass
    class Chosen(Message):
        """Enter or a second click on an entry."""

        table: "EntryTable[Any]"
        entry: Any

    def __init__(
        self,
        columns: Sequence[Column[E]],
        key: Callable[[E], str],
        *,
        sort: str = "",
        id: str | None = None,
    ) -> None:
        """`key` tells entries apart; `sort` is the column to begin with, '' keeps their order."""
        super().__init__(id=id)
        self._columns, self._key = list(columns), key
        self._sort, self._reverse = sort, False
        self._entries: list[E] = []
        self._cells: dict[str, tuple[str, ...]] = {}
        self._rows: list[E] = []
        self._wanted = [cell_len(column.label) + 1 for column in self._columns]
        self._shown: list[Column[E]] = []
        self._widths: list[int] = []
        self._words: list[str] = []
        self._cursor = 0
        self._drawn: tuple[list[Strip], tuple[Size, Offset] | None] = ([], None)
        self.marked: set[str] = set()

    # what a screen says and asks

    def show(self, entries: Sequence[E]) -> None:
        """Show these entries from now on; the cursor stays on its entry where that is left."""
        self._entries = list(entries)
        self._cells = {
            self._key(entry): tuple(one_line(column.text(entry)) for column in self._columns)
            for entry in self._entries
        }
        self._wanted = [
            max([cell_len(column.label) + 1, column.least, *map(cell_len, cells)])
            for column, cells in zip(self._columns, self._by_column(), strict=True)
        ]
        self.marked &= self._cells.keys()
        self._arrange()

    def filter(self, text: str) -> None:
        """Show only the entries of which every word of `text` stands in some cell."""
        self._words = text.casefold().split()
        self._arrange()

    def sort_by(self, key: str) -> None:
        """Order by a column; asked again, the other way around."""
        self._reverse = not self._reverse if key == self._sort else False
        self._sort = key
        self._arrange()

    @property
    def current(self) -> E | None:
        """The entry under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def rows(self) -> list[E]:
        """The entries shown, in their order."""
        return list(self._rows)

    @property
    def count(self) -> int:
        """How many entries there are, also those that are filtered away."""
        return len(self._entries)

    @property
    def filled(self) -> bool:
        """Whether there are entries at all, be they filtered away."""
        return bool(self._entries)

    def move_to(self, key: str) -> None:
        """Put the cursor on an entry, if it is shown."""
        for number, entry in enumerate(self._rows):
            if self._key(entry) == key:
                self.action_to(number)

    def toggle_mark(self) -> None:
        """Mark the current entry, or take its mark away, and go on to the next."""
        if (entry := self.current) is not None:
            self.marked ^= {self._key(entry)}
            self.action_move(1)
            self._repaint()

    # keys

    def action_move(self, by: int) -> None:
        self.action_to(max(self._cursor + by, 0))

    def action_page(self, by: int) -> None:
        self.action_move(by * max(self.size.height - 2, 1))

    def action_to(self, row: int) -> None:
        last = len(self._rows) - 1
        row = last if row < 0 else min(row, last)
        if row != self._cursor and row >= 0:
            self._cursor = row
            self._tell()
        self._into_view()
        self._repaint()

    def action_sort(self, by: int) -> None:
        keys = [column.key for column in self._shown if column.order]
        if not keys:  # it has not been laid out yet
            return
        index = keys.index(self._sort) + by if self._sort in keys else 0
        self._reverse = False
        self._sort = keys[index % len(keys)]
        self._arrange()

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self._arrange()

    def action_choose(self) -> None:
        if (entry := self.current) is not None:
            self.post_message(self.Chosen(self, entry))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._click_head(event.x)
            return
        row = event.y - 1 + self.scroll_offset.y
        if 0 <= row < len(self._rows):
            if row == self._cursor and event.chain > 1:
                self.action_choose()
            self.action_to(row)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say what the head of a column means while the mouse rests on it."""
        from tuillm.dashboard.glossary import column_meaning  # not for the first frame

        column = self._column_at(event.x)
        words = column_meaning(column.label) if column and event.y == 0 else ""
        self.tooltip = Text(words) if words else None

    def on_resize(self) -> None:
        self._fit()

    def on_show(self) -> None:
        self._fit()  # while it was hidden it had no width

    # drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self._head().adjust_cell_length(width, self._style("head"))
        row = y - 1 + self.scroll_offset.y
        if row >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        under = row == self._cursor
        ground = self._style("cursor") if under else self.rich_style
        return self._row(self._rows[row], under, ground).adjust_cell_length(width, ground)

    def _row(self, entry: E, under: bool, ground: Style) -> Strip:
        key = self._key(entry)
        cells = dict(zip((column.key for column in self._columns), self._cells[key], strict=True))
        marked = key in self.marked
        segments = [Segment("● " if marked else "  ", ground + self._color("mark", under))]
        for column, width in zip(self._shown, self._widths, strict=True):
            role = column.role(entry) if column.role else ""
            style = ground + self._color(role, under) if role else ground
            segments.append(Segment(fit_text(cells[column.key], width, column.right), style))
            segments.append(Segment(" " * GAP, ground))
        return Strip(segments)

    def _head(self) -> Strip:
        style, active = self._style("head"), self._style("head") + self._color("accent", False)
        segments = [Segment("  ", style)]
        for column, width in zip(self._shown, self._widths, strict=True):
            sorted_by = column.key == self._sort
            arrow = ("▾" if self._reverse else "▴") if sorted_by else ""
            label = fit_text(column.label + arrow, width, column.right)
            segments += [Segment(label, active if sorted_by else style), Segment(" " * GAP, style)]
        return Strip(segments)

    def _style(self, role: str) -> Style:
        return self.get_component_rich_style(f"table--{role}")

    def _color(self, role: str, under: bool) -> Style:
        """The foreground of a role; under the cursor its own colours win."""
        if under:
            return Style()
        style = self.get_component_rich_style(f"table--{role}", partial=True)
        return Style(color=style.color, bold=style.bold)

    # what is shown, and where

    def _arrange(self) -> None:
        """Filter and order the entries, and bring the cursor back to its own."""
        before = self.current
        rows = [entry for entry in self._entries if self._matches(entry)]
        column = next((each for each in self._columns if each.key == self._sort), None)
        if column and (order := column.order):
            known = [entry for entry in rows if order(entry) is not None]
            unknown = [entry for entry in rows if order(entry) is None]
            rows = sorted(known, key=order, reverse=self._reverse) + unknown
        elif self._reverse:
            rows.reverse()
        self._rows = rows
        keys = {self._key(entry): number for number, entry in enumerate(rows)}
        kept = keys.get(self._key(before)) if before is not None else None
        self._cursor = min(self._cursor, max(len(rows) - 1, 0)) if kept is None else kept
        self._fit()
        if (before and self._key(before)) != (self.current and self._key(self.current)):
            self._tell()

    def _matches(self, entry: E) -> bool:
        if not self._words:
            return True
        text = "\n".join(self._cells[self._key(entry)]).casefold()
        return all(word in text for word in self._words)

    def _fit(self) -> None:
        """Choose the columns that fit into the width."""
        total = self.size.width or cast(Widget, self.parent).size.width  # it has none while hidden
        self._shown, self._widths = columns_in(total - 2, self._columns, self._wanted)
        self.virtual_size = Size(total, len(self._rows) + 1)
        self._into_view()
        self._repaint()

    def _repaint(self) -> None:
        """Send to the terminal those lines that are others than before."""
        lines = [self.render_line(y) for y in range(self.size.height)]
        before, at = self._drawn, (self.size, self.scroll_offset)
        self._drawn = lines, at
        if at != before[1]:
            self.refresh()
            return
        both = zip(lines, before[0], strict=True)
        if changed := [y for y, (new, old) in enumerate(both) if new != old]:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _by_column(self) -> list[tuple[str, ...]]:
        """The cells of all entries, column by column."""
        if not self._cells:
            return [()] * len(self._columns)
        return list(zip(*self._cells.values(), strict=True))

    def _into_view(self) -> None:
        self.scroll_to_region(Region(0, self._cursor, 1, 2), animate=False, force=True)

    def _tell(self) -> None:
        self.post_message(self.Highlighted(self, self.current))

    def _click_head(self, x: int) -> None:
        if (column := self._column_at(x)) and column.order:
            self.sort_by(column.key)

    def _column_at(self, x: int) -> Column[E] | None:
        left = 2
        for column, width in zip(self._shown, self._widths, strict=True):
            if left <= x < left + width + GAP:
                return column
            left += width + GAP
        return None
