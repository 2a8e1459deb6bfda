"""Pen and paper of a chart: colours by theme role, dots, marks, axes and texts on a canvas.

Knows cells, styles and rising numbers; knows neither what a curve means nor any key.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
from textual.color import Color, ColorParseError
from textual.geometry import Region
from textual.strip import Strip
from textual_hires_canvas import Canvas

from tuillm import plotting
from tuillm.plotting import Array

Bounds = tuple[float, float, float, float]
Piece = tuple[str, str]

# columns of dots on and off; None is a whole line
Dash = tuple[int, int] | None
Tick = tuple[float, str]

_BRAILLE = 0x2800


@dataclass
class Palette:
    """Colours of theme roles as rich styles."""

    variables: Mapping[str, str]
    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, role: str, share: float = 1.0) -> str:
        """The style of a role, or of `share` of it on the background."""
        key = f"{role} {share}"
        if key not in self._known:
            color = self._color(role)
            if share < 1 and color.ansi is not None:
                self._known[key] = f"dim {color.rich_color.name}"
            else:
                mixed = self._color("background").blend(color, share) if share < 1 else color
                self._known[key] = mixed.rich_color.name
        return self._known[key]

    def _color(self, role: str) -> Color:
        try:
            return Color.parse(self.variables[role])
        except (KeyError, ColorParseError):
            pass
        if role == "muted":  # Textual's own themes have none
            return self._color("background").blend(self._color("foreground"), 0.55)
        return Color.parse("black" if role == "background" else "white")


class Sheet(Canvas):
    """A canvas that has an answer for rows it does not have yet.

    Canvas gives them no style, at which Textual fails where NO_COLOR is set.
    """

    ALLOW_SELECT = False

    @contextmanager
    def batch_refresh(self) -> Iterator[None]:
        """Let the screen see as one change what is drawn in the block, and only where it differs.

        A run that goes on changes a few columns of its chart: the rest is not sent again.
        """
        before, styles = self._buffer, self._styles
        self._refreshes_pending += 1
        try:
            yield
        finally:
            self._refreshes_pending -= 1
        if self._refreshes_pending:
            return
        if self._buffer is before or list(map(len, self._buffer)) != list(map(len, before)):
            self.refresh()  # drawn over what there was, or of another size
        elif changed := list(self._changed(before, styles)):
            self.refresh(*changed)

    def _changed(self, before: list[list[str]], styles: list[list[str]]) -> Iterator[Region]:
        """The parts of rows in which anything differs."""
        for row, cells in enumerate(self._buffer):
            if cells == before[row] and self._styles[row] == styles[row]:
                continue
            columns = [
                column
                for column in range(len(cells))
                if cells[column] != before[row][column]
                or self._styles[row][column] != styles[row][column]
            ]
            yield Region(columns[0], row, columns[-1] - columns[0] + 1, 1)

    def render_line(self, y: int) -> Strip:
        """One row, blank below the last."""
        if y < self._canvas_size.height:
            return super().render_line(y)
        return Strip.blank(self.size.width, self.rich_style)


@dataclass(frozen=True)
class Sheets:
    """The canvases of a chart: the plot with its axes, and the margins around it."""

    plot: Canvas
    top: Canvas
    left: Canvas
    bottom: Canvas

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the screen see what is drawn in the block as one change."""
        with ExitStack() as stack:
            for sheet in (self.plot, self.top, self.left, self.bottom):
                stack.enter_context(sheet.batch_refresh())
            yield

    def clear(self) -> None:
        """Take everything away."""
        for sheet in (self.plot, self.top, self.left, self.bottom):
            sheet.reset()

    def say(self, text: str, style: str) -> None:
        """Show nothing but a sentence in the middle of the plot."""
        self.clear()
        start = max((self.plot.size.width - len(text)) // 2, 0)
        write(self.plot, start, self.plot.size.height // 2, [(text, style)])


class Paper:
    """The area of a canvas right of its left axis and above its bottom axis, showing a view."""

    def __init__(self, canvas: Canvas, view: Bounds, palette: Palette) -> None:
        self.canvas, self.view, self.palette = canvas, view, palette
        self.width, self.height = max(canvas.size.width - 1, 0), max(canvas.size.height - 1, 0)
        self._cells = np.zeros((self.height, self.width), int)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of a point; it may lie outside."""
        across, down = plotting.to_dots(x, y, self.view, 2 * self.width, 4 * self.height)
        return int(np.rint(across)) // 2, int(np.rint(down)) // 4

    def set(self, column: int, row: int, text: str, style: str) -> None:
        """Put text into the area; what does not fit is cut."""
        if 0 <= row < self.height:
            for at, char in enumerate(text, column):
                if 0 <= at < self.width:
                    self.canvas.set_pixel(at + 1, row, char, style)

    def axes(self, x: Sequence[Tick], y: Sequence[Tick], style: str, grid: str) -> None:
        """Draw both axes with ticks, and a quiet line at each tick of y."""
        for row in range(self.height):
            self.canvas.set_pixel(0, row, "│", style)
        for column in range(self.width + 1):
            self.canvas.set_pixel(column, self.height, "─" if column else "└", style)
        for tick, _ in y:
            row = self.cell(self.view[0], tick)[1]
            if 0 <= row < self.height:
                self.canvas.set_pixel(0, row, "┤", style)
                self.set(0, row, "┈" * self.width, grid)
        for tick, _ in x:
            column = self.cell(tick, self.view[2])[0]
            if 0 <= column < self.width:
                self.canvas.set_pixel(column + 1, self.height, "┬", style)

    def mark(self, x: float, y: float, char: str, style: str) -> None:
        """Put one character on a point."""
        if math.isfinite(x) and math.isfinite(y):
            self.set(*self.cell(x, y), char, style)

    def moment(self, x: float, style: str) -> None:
        """Draw a dashed line up and down."""
        column = self.cell(x, self.view[2])[0]
        for row in range(self.height):
            self.set(column, row, "╎", style)

    def caption(self, x: float, text: str, style: str) -> None:
        """Write beside x at the top, where no curve and no other text is."""
        column = self.cell(x, self.view[2])[0]
        text = f" {text} "
        for start in (column + 1, column - len(text)):
            under = [
                self.canvas.get_pixel(at + 1, 0)[0]
                for at in range(max(start, 0), min(start + len(text), self.width))
            ]
            free = len(under) == len(text) and not "".join(under).strip(" ┈")
            if free and 0 <= column < self.width:
                return self.set(start, 0, text, style)

    def upright(self, x: float, style: str) -> None:
        """Draw a line up and down wherever no curve is."""
        column = self.cell(x, self.view[2])[0]
        for row in range(self.height):
            if 0 <= column < self.width and not self._cells[row, column]:
                self.set(column, row, "│", style)

    def line(
        self, x: Array, y: Array, style: str, dash: Dash = None, *, behind: bool = False
    ) -> None:
        """Draw a line of dots through points at rising x.

        Lines that share a cell share its dots; what is drawn `behind` gives way to the others.
        """
        part = plotting.window(x, self.view[0], self.view[1])
        x, y = plotting.decimate(x[part], y[part], 2 * self.width)
        cells = plotting.braille(plotting.trace(x, y, self.view, self.width, self.height, dash))
        if not behind:
            self._cells |= cells
            cells = np.where(cells, self._cells, 0)
        for row, column in zip(*np.nonzero(cells), strict=True):
            char = chr(_BRAILLE + cells[row, column])
            self.canvas.set_pixel(int(column) + 1, int(row), char, style)

    def points(self, x: Array, y: Array, style: str) -> None:
        """Dots, the newest for certain, and as many of the others as can be told apart."""
        part = plotting.window(x, self.view[0], self.view[1])
        across, down = plotting.to_dots(
            x[part], y[part], self.view, 2 * self.width, 4 * self.height
        )
        columns, rows = np.rint(across).astype(int) // 2, np.rint(down).astype(int) // 4
        last = math.inf
        for column, row in zip(columns[::-1], rows[::-1], strict=True):
            if last - column >= 2:
                self.set(int(column), int(row), "•", style)
                last = column


def write(canvas: Canvas, x: int, y: int, pieces: Sequence[Piece]) -> int:
    """Write styled texts from x on, cut at the right edge; return where the next would begin."""
    for text, style in pieces:
        for char in text:
            canvas.set_pixel(x, y, char, style)
            x += 1
    return x


def y_labels(paper: Paper, left: Canvas, y: Sequence[Tick], style: str) -> None:
    """Write the labels of the ticks of y at the right edge of the canvas beside."""
    taken: set[int] = set()
    for tick, label in y:
        row = paper.cell(paper.view[0], tick)[1]
        if 0 <= row < paper.height and row not in taken:
            write(left, left.size.width - len(label), row, [(label, style)])
            taken |= {row}


def x_labels(paper: Paper, bottom: Canvas, x: Sequence[Tick], unit: Piece, style: str) -> None:
    """Write the unit, and below their ticks those labels of x for which there is room."""
    margin = bottom.size.width - paper.width
    free = write(bottom, 0, 0, [unit]) + 1 if margin > len(unit[0]) else 0
    for tick, label in x:
        column = paper.cell(tick, paper.view[2])[0]
        start = margin + column - (len(label) - 1) // 2
        start = min(start, bottom.size.width - len(label))
        if 0 <= column < paper.width and start >= free:
            free = write(bottom, start, 0, [(label, style)]) + 2
