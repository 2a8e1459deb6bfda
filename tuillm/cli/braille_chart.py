"""A curve drawn in braille dots for the live view: series over steps, with a few labels.

Knows points and characters; the dots are those of the dashboard's charts.
"""

from collections.abc import Sequence

import numpy as np
from rich.text import Text

from tuillm import plotting

Point = tuple[float, float]

_LABEL = 6
# the first series is a whole line, the others are dashed, so that they differ without colour
_DASH = (4, 2)


def draw_chart(
    series: Sequence[tuple[Sequence[Point], str]], width: int, height: int, *, axis_style: str = ""
) -> Text:
    """Return a chart of `width` x `height` characters; each series is (points, style).

    Values that are no numbers are passed over.
    """
    columns, rows = max(width - _LABEL - 1, 8), max(height - 1, 2)
    parts = [(*_arrays(points), style) for points, style in series]
    across, down = plotting.extent(x for x, _, _ in parts), plotting.extent(y for _, y, _ in parts)
    if across is None or down is None:
        return Text("waiting for the first steps", style=axis_style)
    (left, right), (low, high) = across, plotting.headroom(*down)
    view = (left, right if right > left else left + 1, low, high)
    cells = np.zeros((rows, columns), np.int64)
    styles = np.full((rows, columns), "", object)
    for number, (x, y, style) in enumerate(parts):
        dots = plotting.trace(
            *plotting.decimate(x, y, 2 * columns), view, columns, rows, _DASH if number else None
        )
        drawn = plotting.braille(dots)
        cells |= drawn
        styles[drawn > 0] = style
    return _paint(cells, styles, view, axis_style)


def smooth(points: Sequence[Point], half_life: int) -> list[Point]:
    """Return the points with an exponential average of their values, bias corrected."""
    x, y = _arrays(points)
    return list(zip(x.tolist(), plotting.smooth(y, half_life).tolist(), strict=True))


def _arrays(points: Sequence[Point]) -> tuple[plotting.Array, plotting.Array]:
    pairs = np.array(points, np.float64).reshape(-1, 2)
    return plotting.finite(pairs[:, 0], pairs[:, 1])


def _paint(
    cells: np.ndarray, styles: np.ndarray, view: tuple[float, float, float, float], axis_style: str
) -> Text:
    (left, right, low, high), text, last = view, Text(), len(cells) - 1
    for number, (row, row_styles) in enumerate(zip(cells, styles, strict=True)):
        value = high - (high - low) * number / last
        labelled = number in (0, last // 2, last)
        text.append(f"{value:>{_LABEL}.2f}" if labelled else " " * _LABEL, style=axis_style)
        text.append("┤" if labelled else "│", style=axis_style)
        for dots, style in zip(row.tolist(), row_styles, strict=True):
            text.append(chr(0x2800 + dots) if dots else " ", style=style)
        text.append("\n")
    first, final = f"{left:,.0f}", f"step {right:,.0f}"
    gap = max(cells.shape[1] - len(first) - len(final), 1)
    text.append(" " * (_LABEL + 1) + first + " " * gap + final, style=axis_style)
    return text
