"""The panel of figures beside the chart: each with its course so far as a small line.

Knows the history of a run and what its process uses; reads nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tuillm.dashboard.metrics_history import History
from tuillm.dashboard.process_usage import MachineUse
from tuillm.dashboard.widgets.border_title import set_border_title
from tuillm.dashboard.widgets.cached_static import CachedStatic
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.plotting import number
from tuillm.store.run_status import ACTIVE, Status
from tuillm.units import count, duration, figure, size

_BARS = "▁▂▃▄▅▆▇█"
# points behind a small line: enough for the widest, cheap for the longest run
_RECENT = 4096
# from so many columns on, in fewer lines than that, the courses stand side by side, so far apart
_SIDE_BY_SIDE, _LOW, _GAP = 60, 13, 3
_NAMES = 7  # columns of the names of figures where there is little room


@dataclass(frozen=True)
class _Course:
    """A figure with a course: its name, its column in the history, and its unit."""

    name: str
    column: str
    unit: str
    role: str


_COURSES = (
    _Course("throughput", "tokens_per_sec", "tokens/s", "success"),
    _Course("learning rate", "lr", "", "secondary"),
    _Course("gradient norm", "grad_norm", "", "warning"),
)


class Figures(ThemeAware, VerticalScroll, can_focus=True):
    """Throughput, learning rate, gradient norm, and what the machine gives for them."""

    HELP = (
        "Throughput, learning rate and gradient norm with their course over the last steps. "
        "MFU is the share of this machine's measured matrix speed that reaches the model. "
        "CPU and memory are those of the run's own process."
    )
    BINDINGS = SCROLL_KEYS

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._shown: tuple[History, Status, MachineUse | None] | None = None

    def compose(self) -> ComposeResult:
        yield CachedStatic()

    def on_resize(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        if self._shown:
            self.show(*self._shown)

    def show(self, history: History, status: Status, use: MachineUse | None) -> None:
        """Draw the figures as they are now."""
        self._shown = history, status, use
        set_border_title(self, "figures" if status.state in ACTIVE else "figures at the end")
        width = max(self.size.width - 2, 12)
        rows = self._rows(history, status, use)
        if width < _SIDE_BY_SIDE or self.size.height >= _LOW:
            parts = [self._course(course, history, width) for course in _COURSES]
            parts.append(self._lines(rows, width))
            self.query_one(CachedStatic).draw(Text("\n\n").join(parts))
            return
        each = (width - _GAP * (len(_COURSES) - 1)) // len(_COURSES)
        table = Table.grid(padding=(0, _GAP, 0, 0))
        for _ in _COURSES:
            table.add_column(width=each, no_wrap=True)
        table.add_row(*(self._course(course, history, each) for course in _COURSES))
        table.add_row()
        deep = -(-len(rows) // len(_COURSES))
        parts = [self._lines(rows[at : at + deep], each) for at in range(0, len(rows), deep)]
        table.add_row(*parts)
        self.query_one(CachedStatic).draw(table)

    def _course(self, course: _Course, history: History, width: int) -> Text:
        colors = self.app.theme_variables
        values = history.recent(course.column, _RECENT)
        last = history.last.get(course.column)
        newest = last if isinstance(last, int | float) else None
        if course.column == "tokens_per_sec":
            shown = count(newest)
        else:
            shown = "-" if newest is None else number(newest)
        text = Text(f"{course.name} ", style=colors.get("muted", ""))
        unit = f" {course.unit}" if len(text) + len(shown) + len(course.unit) < width else ""
        text.append(shown + unit.rstrip(), style=f"bold {colors['foreground']}")
        text.append("\n")
        text.append(small_line(values, width), style=colors[course.role])
        return text

    def _rows(
        self, history: History, status: Status, use: MachineUse | None
    ) -> list[tuple[str, str]]:
        last = history.last
        mfu = last.get("mfu")
        rows = [
            ("MFU", f"{mfu:.1%}" if isinstance(mfu, int | float) else "-"),
            ("ETA", duration(status.eta)),
            ("epoch", figure(last.get("epoch"), 2)),
            ("bits per byte", figure(status.bits_per_byte)),
        ]
        if status.before_bits_per_byte is not None:  # it started from another model
            rows.append(("before", figure(status.before_bits_per_byte)))
        if use:
            rows += [
                ("CPU", f"{use.cpu:.0%} of {use.cores} cores"),
                ("memory", size(use.memory)),
                ("free", size(use.free)),
            ]
            if use.gpu:
                rows.append(("GPU", use.gpu))
        return rows

    def _lines(self, rows: Sequence[tuple[str, str]], width: int) -> Text:
        """Names and values, the values below each other where there is room for that."""
        names = max(len(name) for name, _ in rows)
        if any(names + 1 + len(value) > width for _, value in rows):
            names = _NAMES
        muted = self.app.theme_variables.get("muted", "")
        lines = [
            Text(f"{name:<{names}} ", style=muted).append(value, style="") for name, value in rows
        ]
        return Text("\n").join(lines)


def small_line(values: Sequence[float] | np.ndarray, width: int) -> str:
    """The course of some values as `width` bars at most, lowest to highest; no-numbers left out."""
    array = np.asarray(values, np.float64)
    array = array[np.abs(array) < 1e100]
    if not array.size:
        return ""
    parts = np.array_split(array, min(width, array.size))
    means = np.array([part.mean() for part in parts])
    low, high = float(means.min()), float(means.max())
    if high - low <= abs(high) * 1e-9:
        return _BARS[3] * len(means)
    levels = ((means - low) / (high - low) * (len(_BARS) - 1)).round().astype(int)
    return "".join(_BARS[level] for level in levels)
