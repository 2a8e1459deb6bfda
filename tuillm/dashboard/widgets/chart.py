"""The chart of the dashboard: curves over steps, time or epochs, zoomed and read out by key.

    chart.show([Curve("train loss", steps, losses, "secondary", smooth=True)],
               [Mark(500, "resumed", "resumed")])

Built on textual-plot's PlotWidget, whose canvases, mouse zoom and mouse panning it keeps;
what is drawn on them is a `Picture`. Knows curves and marks; knows no run and no file.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.css.query import NoMatches
from textual.geometry import Region
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static
from textual_hires_canvas import Canvas
from textual_plot import PlotWidget

from tuillm import plotting
from tuillm.dashboard.widgets.axes import AxisName, NumberAxis, axis_named
from tuillm.dashboard.widgets.canvas import Palette, Sheet, Sheets
from tuillm.dashboard.widgets.cursor_plot import CursorPlot
from tuillm.dashboard.widgets.picture import (
    Curve,
    Line,
    Mark,
    Picture,
    prepare,
    whole_range,
    window_in,
    y_range,
)

__all__ = ["AxisName", "Chart", "Curve", "Mark"]

# seconds between two drawings, and the share of all time that drawing may take
_INTERVAL = 0.25
_SHARE = 0.1
_ZOOM = 0.5
_LABEL_COLUMNS = 5
_SMOOTH = ("", "smooth", "smoother")
# columns and rows below which nothing could be read off
_LEAST, _NO_ROOM = (12, 3), "no room for the chart"
_NO_LOGARITHM = "no value above zero for a logarithmic axis"


class Chart(CursorPlot, inherit_bindings=False):
    """Curves and marks; draws when it is seen, and four times a second at the most."""

    HELP: ClassVar = (
        "The chart. `l` switches the vertical axis between linear and logarithmic, `s` smooths "
        "the noisy curves (off, light, strong). `+` and `-` zoom along the horizontal axis, "
        "about the cursor or the newest value, `0` shows everything again; a zoomed chart moves "
        "along with new values while it follows (`f`). `←` and `→` move a cursor that reads out "
        "the values (with shift ten columns, `home` and `end` to the ends), `escape` puts it "
        "away. A click sets the cursor, the wheel zooms, dragging moves."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Linear or log axis", id="chart.log", show=False),
        Binding("s", "smooth", "Smooth the curves", id="chart.smooth", show=False),
        Binding("plus,equals_sign", "zoom_in", "Zoom in", id="chart.zoom_in", show=False),
        Binding("minus", "zoom_out", "Zoom out", id="chart.zoom_out", show=False),
        Binding("0", "zoom_reset", "Show everything", id="chart.zoom_reset", show=False),
        Binding("f", "follow", "Follow new values", id="chart.follow", show=False),
        Binding("left", "move(-1)", "Cursor left", id="chart.left", show=False),
        Binding("right", "move(1)", "Cursor right", id="chart.right", show=False),
        Binding("shift+left", "move(-10)", "Cursor far left", id="chart.far_left", show=False),
        Binding("shift+right", "move(10)", "Cursor far right", id="chart.far_right", show=False),
        Binding("home", "move_to(0)", "Cursor to the first", id="chart.first", show=False),
        Binding("end", "move_to(-1)", "Cursor to the newest", id="chart.newest", show=False),
        Binding("escape", "put_away", "Put the cursor away", id="chart.put_away", show=False),
    ]
    DEFAULT_CSS = "Chart { height: 1fr; }"

    @dataclass
    class Inspected(Message):
        """The cursor stands on the value at `x`, or was put away."""

        chart: "Chart"
        x: float | None

        @property
        def control(self) -> "Chart":
            return self.chart

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Chart.Inspected) and message.chart is self.chart

    def __init__(
        self,
        *,
        empty: str = "waiting for the first steps",
        logarithmic: bool = False,
        smoothing: int = 1,
        x_axis: AxisName | NumberAxis = "step",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` stands where nothing can be drawn; `smoothing` is 0, 1 or 2."""
        super().__init__(id=id, classes=classes)
        self.empty, self.logarithmic, self.smoothing = empty, logarithmic, smoothing
        self.following = True
        self._axis = axis_named(x_axis)
        self._curves: tuple[Curve, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._lines: list[Line] | None = None
        self._full: tuple[float, float] | None = None
        self._next_drawing = -math.inf
        self._waiting: Timer | None = None
        self.set_reactive(PlotWidget.margin_top, 1)
        self.set_reactive(PlotWidget.margin_bottom, 1)
        self.set_reactive(PlotWidget.margin_left, _LABEL_COLUMNS)

    @property
    def zoomed(self) -> bool:
        """Whether less than everything is shown."""
        return not (self._auto_x_min and self._auto_y_min)

    def show(
        self,
        curves: Sequence[Curve],
        marks: Sequence[Mark] = (),
        *,
        x_axis: AxisName | NumberAxis | None = None,
    ) -> None:
        """Show these instead of what was shown; cheap, the last of many calls is drawn.

        The arrays must not be changed afterwards. Another kind of `x_axis` resets the zoom.
        """
        axis = self._axis if x_axis is None else axis_named(x_axis)
        if type(axis) is not type(self._axis):
            self._axis = axis
            self.reset()
        self._curves, self._marks, self._lines = tuple(curves), tuple(marks), None
        self._draw_soon()

    def reset(self) -> None:
        """Show everything, without the cursor: for the curves of another run."""
        self.action_zoom_reset()
        if self.cursor is not None:
            self._inspect(None)

    def action_log(self) -> None:
        """Switch the vertical axis between linear and logarithmic."""
        self.logarithmic, self._lines = not self.logarithmic, None
        self._auto_y_min = self._auto_y_max = True
        self._rerender()

    def action_smooth(self) -> None:
        """Smooth not at all, lightly, strongly, and around again."""
        self.smoothing, self._lines = (self.smoothing + 1) % 3, None
        self._rerender()

    def action_zoom_in(self) -> None:
        """Show less, about the cursor or the right end."""
        self._zoom(self._zoom_center(), 0.0, _ZOOM, True, False)

    def action_zoom_out(self) -> None:
        """Show more."""
        self._zoom(self._zoom_center(), 0.0, 1 / (1 + _ZOOM) - 1, True, False)

    def action_zoom_reset(self) -> None:
        """Show everything."""
        self.following = True
        if self.is_mounted:
            self.action_reset_scales()

    def action_follow(self) -> None:
        """Keep the newest value in sight while zoomed, or stay where one is."""
        self.following = not self.following
        self._rerender()

    def _inspect(self, x: float | None) -> None:
        self.cursor = x
        if x is not None and not self._auto_x_min:
            shift = min(x - self._x_min, 0.0) or max(x - self._x_max, 0.0)
            if shift:
                self._x_min, self._x_max = self._x_min + shift, self._x_max + shift
                self._see_whether_following()
        self.post_message(self.Inspected(self, x))
        self._rerender()

    def _cursor_values(self) -> plotting.Array:
        """Where the cursor can stand: the values of the longest curve."""
        return max((line.x for line in self._ready()), key=len, default=np.empty(0))

    def _ready(self) -> list[Line]:
        if self._lines is None:
            self._lines = prepare(self._curves, self.logarithmic, self.smoothing)
            self._full = plotting.extent(x for line in self._lines for x, _ in line.layers)
        return self._lines

    def _draw_soon(self) -> None:
        if not self.is_mounted or self._waiting is not None:
            return
        rest = self._next_drawing - time.monotonic()
        if rest <= 0:
            self._rerender()
        else:
            self._waiting = self.set_timer(rest, self._draw_now)

    def _draw_now(self) -> None:
        self._waiting = None
        self._rerender()

    # what follows takes the place of PlotWidget's own

    def compose(self) -> ComposeResult:
        """The same canvases in the same grid; the legend is there for PlotWidget, never seen."""
        with Grid():
            for name in ("margin-top", "margin-left", "plot", "margin-bottom"):
                yield Sheet(1, 1, id=name)
        yield Static(id="legend")

    def _zoom(
        self, center_x: float, center_y: float, factor: float, zoom_x: bool, zoom_y: bool
    ) -> None:
        """Zoom about a point, but not beyond a few values or the resolution of a number."""
        if self._full is None:
            return
        count = max((len(line.x) for line in self._ready()), default=1)
        least = 4 * (self._full[1] - self._full[0]) / max(count, 4)
        zoom_x &= factor < 0 or self._x_max - self._x_min > least
        zoom_y &= factor < 0 or (
            self._y_max - self._y_min > 1e-6 * max(abs(self._y_min), abs(self._y_max))
        )
        super()._zoom(center_x, center_y, factor, zoom_x, zoom_y)
        if zoom_x:
            self._see_whether_following()

    def _pan(self, factor_x: float, factor_y: float) -> None:
        if self._full is not None:
            super()._pan(factor_x, factor_y)
            self._see_whether_following()

    def _see_whether_following(self) -> None:
        """Whoever has moved to the newest value wants to stay with it."""
        if self._full is not None:
            self.following = self._x_max >= self._full[1] - (self._x_max - self._x_min) * 1e-3

    def _render_plot(self) -> None:
        """Draw everything on the canvases."""
        try:
            sheets = Sheets(
                *(
                    self.query_one(f"#{name}", Canvas)
                    for name in ("plot", "margin-top", "margin-left", "margin-bottom")
                )
            )
        except NoMatches:  # not composed yet
            return
        began = time.monotonic()
        self._draw(sheets)
        now = time.monotonic()
        if self._full is not None:
            self._next_drawing = now + max(_INTERVAL, (now - began) / _SHARE)

    def _draw(self, sheets: Sheets) -> None:
        width, height = sheets.plot.size
        if width < _LEAST[0] or height < _LEAST[1]:
            with sheets.at_once():
                sheets.say(_NO_ROOM[:width], Palette(self.app.theme_variables)("muted"))
            return
        # where PlotWidget takes the mouse to be: without the axes at the left and the bottom
        self._scale_rectangle = Region(1, 0, width - 1, height - 1)
        lines, palette = self._ready(), Palette(self.app.theme_variables)
        with sheets.at_once():
            if self._full is None:
                some = any(len(line.x) for line in lines)
                sheets.say(_NO_LOGARITHM if some else self.empty, palette("muted"))
                return
            self._fit(lines, self._full)
            picture = self._picture(lines)
            labels = [len(label) for _, label in picture.y_ticks(height - 1)]
            columns = min(max([_LABEL_COLUMNS, *labels]), (width + self.margin_left) // 2)
            if columns == self.margin_left:
                picture.draw(sheets, palette)
            else:
                self.margin_left = columns
                self.call_after_refresh(self.refresh, layout=True)  # and draw again

    def _fit(self, lines: list[Line], full: tuple[float, float]) -> None:
        """Put the view where the zoom, the following and the values in sight want it."""
        width = self._x_max - self._x_min
        if self._auto_x_min or width >= (full[1] - full[0]) * (1 - 1e-9):
            self._auto_x_min = self._auto_x_max = True
            self._x_min, self._x_max = whole_range(full)
        else:
            start = math.inf if self.following else self._x_min
            self._x_min, self._x_max = window_in(full, start, width)
        low, high = y_range(lines, self._x_min, self._x_max, self.logarithmic)
        if self._auto_y_min or self._y_max - self._y_min >= (high - low) * (1 - 1e-9):
            self._auto_y_min = self._auto_y_max = True
            self._y_min, self._y_max = low, high

    def _picture(self, lines: list[Line]) -> Picture:
        smooth = any(len(line.layers) > 1 for line in lines)
        zoom = ("following" if self.following else "zoomed") if self.zoomed else ""
        states = (
            "log" if self.logarithmic else "",
            _SMOOTH[self.smoothing] if smooth else "",
            zoom,
        )
        view = self._x_min, self._x_max, self._y_min, self._y_max
        return Picture(
            lines,
            self._marks,
            view,
            self._axis,
            self.logarithmic,
            self.cursor,
            " · ".join(filter(None, states)),
            self.has_focus,
        )
