"""What a chart shows: curves made ready, marks, the cursor, and the line above that names them.

Knows curves, marks and a view of them; knows no key, no zoom and no run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tuillm import plotting
from tuillm.dashboard.widgets.axes import LogAxis, NumberAxis
from tuillm.dashboard.widgets.canvas import (
    Bounds,
    Dash,
    Palette,
    Paper,
    Piece,
    Sheets,
    Tick,
    write,
    x_labels,
    y_labels,
)
from tuillm.plotting import Array

# by which curves differ without colour
_DASHES: tuple[Dash, ...] = (None, (6, 2), (2, 2), (1, 1))
_BETWEEN_POINTS = (1, 2)
# how much of its colour has what lies behind: averaged values, and the joints of points
_BEHIND, _JOINT = 0.35, 0.7
_GAP = 3
# share of the points after which one counts half, by strength of smoothing, and at least how many
_SMOOTHING = ((0.0, 0), (0.005, 2), (0.02, 8))
_FEW = 20  # so many points are read better as they are


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve: values `y` at rising `x`, in the colour of a theme role.

    A `line` joins all its values; `points` shows each as a dot, for values far apart, and `joined`
    has both. Curves with `smooth` follow the chart's smoothing, their values are then drawn faintly
    behind.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    role: str = "primary"
    kind: Literal["line", "points", "joined"] = "line"
    smooth: bool = False


@dataclass(frozen=True)
class Mark:
    """Something to point out: the `best` value (★) or a `point` (•) at x, y; or a moment x, a
    dashed line with its label (`resumed`)."""

    x: float
    label: str
    kind: Literal["best", "point", "resumed"]
    y: float = math.nan


@dataclass
class Line:
    """A curve made ready: its numbers as measured, and as drawn in one or two layers (x, y)."""

    curve: Curve
    x: Array
    y: Array
    layers: list[tuple[Array, Array]]
    dash: Dash = None

    def seen(self, low: float, high: float) -> list[Array]:
        """The drawn values between low and high; the neighbours where there are none."""
        found = []
        for x, y in self.layers:
            start, end = np.searchsorted(x, low), np.searchsorted(x, high, "right")
            found.append(y[start:end] if end > start else y[plotting.window(x, low, high)])
        return found

    def at(self, x: float) -> tuple[float, float] | None:
        """The measured point (x, y) nearest to x, or None without any."""
        if not len(self.x):
            return None
        index = plotting.nearest(self.x, x)
        return float(self.x[index]), float(self.y[index])


@dataclass(frozen=True)
class Picture:
    """All that one drawing shows. With `log`, the y of `view` are logarithms."""

    lines: Sequence[Line]
    marks: Sequence[Mark]
    view: Bounds
    x_axis: NumberAxis
    log: bool = False
    cursor: float | None = None
    status: str = ""
    focused: bool = False

    def draw(self, sheets: Sheets, palette: Palette) -> None:
        """Draw everything anew."""
        sheets.clear()
        paper = Paper(sheets.plot, self.view, palette)
        x = _ticks(self.x_axis, *self.view[:2], min(paper.width // 12, 10))
        y = self.y_ticks(paper.height)
        quiet = palette("muted")
        paper.axes(x, y, palette("muted", 0.6), palette("muted", 0.3))
        y_labels(paper, sheets.left, y, quiet)
        unit = f"bold {palette('primary')}" if self.focused else quiet
        x_labels(paper, sheets.bottom, x, (self.x_axis.unit, unit), quiet)
        moments = [mark for mark in self.marks if mark.kind == "resumed"]
        for mark in moments:
            paper.moment(mark.x, quiet)
        self._curves(paper, palette)
        for mark in moments:
            paper.caption(mark.x, mark.label, quiet)
        self._points(paper, palette)
        _top_line(sheets, self._items(palette), self.status, quiet)

    def y_ticks(self, height: int) -> list[Tick]:
        """The ticks of the vertical axis for so many rows."""
        axis = LogAxis() if self.log else NumberAxis()
        return _ticks(axis, *self.view[2:], min(height // 3 + 1, 8))

    def _curves(self, paper: Paper, palette: Palette) -> None:
        """Behind all, faintly, the values that are averaged and what joins points; then lines."""
        for line in self.lines:
            points = line.curve.kind == "points"
            for layer in line.layers if points else line.layers[:-1]:
                share = _JOINT if points else _BEHIND
                dash = line.dash if points else None
                paper.line(*layer, palette(line.curve.role, share), dash, behind=True)
        for line in self.lines:
            if line.curve.kind != "points":
                paper.line(*line.layers[-1], palette(line.curve.role), line.dash)
        for line in self.lines:
            if line.curve.kind != "line" or len(line.layers[-1][0]) == 1:
                paper.points(*line.layers[-1], palette(line.curve.role))

    def _points(self, paper: Paper, palette: Palette) -> None:
        """Marks, and on top of all the cursor with the values under it."""
        for mark in self.marks:
            if mark.kind == "best":
                paper.mark(mark.x, self._height(mark.y), "★", f"bold {palette('success')}")
            elif mark.kind == "point":
                paper.mark(mark.x, self._height(mark.y), "•", palette("accent"))
        if self.cursor is None:
            return
        paper.upright(self.cursor, palette("foreground", 0.6))
        column = paper.cell(self.cursor, self.view[2])[0]
        for line in self.lines:
            point = line.at(self.cursor)
            if point and abs(paper.cell(point[0], self.view[2])[0] - column) <= 1:
                paper.mark(
                    point[0], self._height(point[1]), "●", f"bold {palette(line.curve.role)}"
                )

    def _height(self, y: float) -> float:
        """Where a value stands on the vertical axis; NaN where it has no place."""
        if self.log:
            return math.log10(y) if y > 0 else math.nan
        return y

    def _items(self, palette: Palette) -> list[list[list[Piece]]]:
        """What stands above the chart, from everything to the least."""
        names = [
            [_sample(line, palette), (f" {line.curve.name}", palette("muted"))]
            for line in self.lines
        ]
        values = [
            [*name, (f" {text}", palette("foreground"))] if text else name
            for name, text in zip(names, map(self._reading, self.lines), strict=True)
        ]
        best = [
            [("★", f"bold {palette('success')}"), (f" {mark.label}", palette("muted"))]
            for mark in self.marks
            if mark.kind == "best" and mark.label
        ]
        if self.cursor is None:
            return [values + best, values, names + best, names]
        here = f"{self.x_axis.unit} {self.x_axis.exact(self.cursor)}".strip()
        head = [[(here, f"bold {palette('foreground')}")]]
        bare = [[item[0], *item[2:]] for item in values]
        return [head + values + best, head + values, head + bare]

    def _reading(self, line: Line) -> str:
        """The value at the cursor, or the newest; with its place when that is elsewhere."""
        if not len(line.x):
            return ""
        x, y = line.at(line.x[-1] if self.cursor is None else self.cursor) or (0.0, 0.0)
        far = self.cursor is not None and x != self.cursor
        return plotting.number(y) + (f" @{self.x_axis.exact(x)}" if far else "")


def prepare(all_curves: Sequence[Curve], log: bool, strength: int) -> list[Line]:
    """Make curves ready: numbers only, smoothed by a strength of 0 to 2, as logarithms or not."""
    dashes = iter(_DASHES * len(all_curves))
    lines = []
    for curve in all_curves:
        x, y = plotting.finite(curve.x, curve.y)
        layers = [(x, y)]
        share, least = _SMOOTHING[strength]
        if curve.smooth and strength and len(y) > _FEW:
            layers.append((x, plotting.smooth(y, max(share * len(y), least))))
        if log:
            layers = [_logarithms(*layer) for layer in layers]
        dash = _BETWEEN_POINTS if curve.kind == "points" else next(dashes)
        lines.append(Line(curve, x, y, layers, dash))
    return lines


def y_range(
    lines: Sequence[Line], left: float, right: float, logarithmic: bool
) -> tuple[float, float]:
    """The vertical range for what is seen between left and right, with some air."""
    seen = plotting.extent(part for line in lines for part in line.seen(left, right))
    return plotting.headroom(*(seen or (0.0, 1.0)), floor=not logarithmic)


def whole_range(full: tuple[float, float]) -> tuple[float, float]:
    """The horizontal range that shows everything between two values, which may be one."""
    air = 0.0 if full[1] > full[0] else 0.5
    return full[0] - air, full[1] + air


def window_in(full: tuple[float, float], start: float, width: float) -> tuple[float, float]:
    """A horizontal range of some width that begins at `start`, as far as that lies within."""
    low = min(max(start, full[0]), full[1] - width)
    return low, low + width


def _sample(line: Line, palette: Palette) -> Piece:
    """A curve in the top line: its dot, or a bit of its line."""
    style = palette(line.curve.role)
    return ("•" if line.curve.kind == "points" else _dashed(line.dash)), style


def line_sample(number: int) -> str:
    """A bit of the line that the chart draws for its curve of this number, 0 the first."""
    return _dashed(_DASHES[number % len(_DASHES)])


def _dashed(dash: Dash) -> str:
    dots = np.zeros((4, 8), bool)
    dots[2] = True
    if dash:
        dots[:, np.arange(8) % sum(dash) >= dash[0]] = False
    return "".join(chr(0x2800 + cell) for cell in plotting.braille(dots)[0])


def _top_line(
    sheets: Sheets, versions: Sequence[Sequence[Sequence[Piece]]], status: str, style: str
) -> None:
    """Write the first version of the items that fits, the status at the right if it can be."""
    width = sheets.top.size.width
    for items in versions:
        pieces = [piece for item in items for piece in (*item, (" " * _GAP, ""))][:-1]
        room = width - sum(len(text) for text, _ in pieces)
        if room >= 0:
            break
    write(sheets.top, 0, 0, pieces)
    if status and room >= len(status) + _GAP:
        write(sheets.top, width - len(status), 0, [(status, style)])


def _ticks(axis: NumberAxis, low: float, high: float, most: int) -> list[Tick]:
    found, labels = axis.get_ticks_and_labels(low, high, max(most, 1))
    return [(tick, label) for tick, label in zip(found, labels, strict=True) if low <= tick <= high]


def _logarithms(x: Array, y: Array) -> tuple[Array, Array]:
    positive = y > 0
    return x[positive], np.log10(y[positive])
