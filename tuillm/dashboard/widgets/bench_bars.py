"""Bars of what programs came to, a measure after the other, with a cursor on one of them.

Knows measurements, columns and theme roles; knows no file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Static

from tuillm.bench.bench_record import MEASURES, OURS, TIMES, Measurement
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.text_report.cells import fit, thin_bar

_LIMIT = "┃"
_MOST_CASE = 24


class BenchBars(ThemeAware, VerticalScroll, can_focus=True):
    """All measurements of a machine and a model."""

    HELP: ClassVar = (
        "Medians of the newest run of each measure. The mark on a bar is what the machine allows: "
        "its memory's bandwidth in decoding, its matrix products in prefill and training. Arrows "
        "choose a program, whose history stands below."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", id="bench.down", show=False),
        Binding("up,k", "move(-1)", "Previous", id="bench.up", show=False),
        Binding("g,home", "to(0)", "First", id="bench.first", show=False),
        Binding("G,end", "to(-1)", "Last", id="bench.last", show=False),
        Binding("pagedown,ctrl+d", "move(8)", "Page down", id="bench.page_down", show=False),
        Binding("pageup,ctrl+u", "move(-8)", "Page up", id="bench.page_up", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """The cursor stands on another measurement."""

        measurement: Measurement

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Measurement] = []
        self._index = 0
        self._lines: list[int] = []

    def compose(self) -> ComposeResult:
        yield Static()

    def on_mount(self) -> None:
        self.border_subtitle = f"{_LIMIT} what the machine allows"

    def show(self, rows: Sequence[Measurement]) -> None:
        """Show these, sorted by measure, with the cursor on the first."""
        self._rows, self._index = list(rows), 0
        self.redraw()
        self._choose()

    def redraw(self) -> None:
        """Draw again, in the width and the colours of now."""
        width = self.scrollable_content_region.width - 1  # not up to the scrollbar
        if width > 0:
            drawn = bar_lines(self._rows, width, self.app.theme_variables, self._index)
            self._lines = [line for line, (_, row) in enumerate(drawn) if row is not None]
            self.query_one(Static).update(Text("\n").join(line for line, _ in drawn))

    def on_resize(self, event: events.Resize) -> None:
        self.redraw()

    def action_move(self, by: int) -> None:
        self.action_to(min(max(self._index + by, 0), len(self._rows) - 1))

    def action_to(self, index: int) -> None:
        """Put the cursor on a measurement, -1 the last."""
        if self._rows:
            self._index = index % len(self._rows)
            self.redraw()
            self._choose()

    def _choose(self) -> None:
        if not self._rows:
            return
        self.post_message(self.Chosen(self._rows[self._index]))
        line = self._lines[self._index] if self._index < len(self._lines) else 0
        top = 0 if self._index == 0 else line  # with the heading above the first
        self.scroll_to_region(Region(0, top, 1, line - top + 1), animate=False, force=True)


def bar_lines(
    rows: Sequence[Measurement], width: int, colors: Mapping[str, str], chosen: int
) -> list[tuple[Text, int | None]]:
    """Return lines of `width` columns, each with the index of its measurement, None of headings."""
    lines: list[tuple[Text, int | None]] = []
    index = 0
    for measure, group in groupby(rows, key=lambda each: each.measure):
        each_of = list(group)
        if lines:
            lines.append((Text(), None))
        lines.append((_heading(measure, each_of[0].unit, width, colors), None))
        several = len({each.threads for each in each_of}) > 1
        cases = [_case(each, several) for each in each_of]
        names = max(cell_len(fit(each.program, 14).rstrip()) for each in each_of)
        room = min(max(map(cell_len, cases)), _MOST_CASE, max(width - names - 24, 8))
        scale = max(max(each.value, each.limit or 0.0) for each in each_of) or 1.0
        for each, case in zip(each_of, cases, strict=True):
            head = f"{fit(each.program, names)}  {fit(case, room)} "
            lines.append((_row(each, head, width, scale, colors, index == chosen), index))
            index += 1
    return lines


def _heading(measure: str, unit: str, width: int, colors: Mapping[str, str]) -> Text:
    less = ", less is faster" if unit in TIMES else ""
    text = Text(no_wrap=True)
    text.append(MEASURES[measure], f"bold {colors['secondary']}")
    text.append(f"  {fit(unit, 12).rstrip()}{less}", colors["muted"])
    text.truncate(width, overflow="ellipsis")
    return text


def _case(each: Measurement, several: bool) -> str:
    return f"{each.case}, {each.threads} thr." if several else each.case


def _row(
    each: Measurement, head: str, width: int, scale: float, colors: Mapping[str, str], chosen: bool
) -> Text:
    value = f"{each.value:.3f}" if each.unit in TIMES else f"{each.value:,.1f}"
    text = Text(no_wrap=True)
    text.append("› " if chosen else "  ", f"bold {colors['primary']}")
    text.append(head, f"bold {colors['primary']}" if chosen else "")
    text.append(f"{value:>9} ", "bold")
    room = width - text.cell_len
    if room > 4:
        bar = thin_bar(each.value / scale, room).ljust(room)
        role = "primary" if each.program == OURS else "muted"
        text.append(bar, colors[role])
        if each.limit:
            column = text.cell_len - room + min(round(each.limit / scale * room), room) - 1
            text.plain = text.plain[:column] + _LIMIT + text.plain[column + 1 :]
            text.stylize(colors["accent"], column, column + 1)
    text.truncate(width)
    return text
