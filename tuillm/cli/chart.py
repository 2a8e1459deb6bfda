"""A curve drawn in braille dots: two series over steps, with a few labels.

Knows points and characters; knows neither runs nor colours beyond the style it is handed.
"""

import math
from collections.abc import Sequence

from rich.text import Text

Point = tuple[float, float]

# bit of the braille block (U+2800) for each of its 2 x 4 dots
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_LABEL = 6


def draw_chart(
    series: Sequence[tuple[Sequence[Point], str]], width: int, height: int, *, axis_style: str = ""
) -> Text:
    """Return a chart of `width` x `height` characters; each series is (points, style).

    The first is a whole line, the others are dashed, so that they differ without colour.
    Values that are no numbers are passed over.
    """
    columns, rows = max(width - _LABEL - 1, 8), max(height - 1, 2)
    finite = [[(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
              for points, _ in series]
    points = [point for part in finite for point in part]
    if not points:
        return Text("waiting for the first steps", style=axis_style)
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = _range(points)
    bits = [[0] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    for number, (part, (_, style)) in enumerate(zip(finite, series, strict=True)):
        for column, dot in _dots(part, left, right, low, high, columns, rows):
            if number and column % 6 >= 4:
                continue
            row, column_ = dot // 4, column // 2
            bits[row][column_] |= _DOTS[column % 2][dot % 4]
            styles[row][column_] = style
    return _paint(bits, styles, (low, high), (left, right), axis_style)


def smooth(points: Sequence[Point], half_life: int) -> list[Point]:
    """Return the points with an exponential average of their values, bias corrected."""
    keep = 0.5 ** (1 / max(half_life, 1))
    total = weight = 0.0
    out = []
    for x, y in points:
        if not math.isfinite(y):
            continue
        total, weight = keep * total + y, keep * weight + 1
        out.append((x, total / weight))
    return out


def _range(points: list[Point]) -> tuple[float, float]:
    low, high = min(y for _, y in points), max(y for _, y in points)
    spare = (high - low) * 0.03 or abs(high) * 0.1 or 1.0
    return (max(low - spare, 0.0) if low >= 0 else low - spare), high + spare


def _dots(
    points: list[Point], left: float, right: float, low: float, high: float, columns: int,
    rows: int,
) -> list[tuple[int, int]]:
    """Return (dot column, dot row) of a line through the points; steep parts are filled in."""
    across, down = columns * 2 - 1, rows * 4 - 1
    by_column: dict[int, list[float]] = {}
    for x, y in points:
        column = round((x - left) / (right - left) * across) if right > left else 0
        by_column.setdefault(column, []).append(y)
    dots: list[tuple[int, int]] = []
    before: tuple[int, int] | None = None
    for column in sorted(by_column):
        value = sum(by_column[column]) / len(by_column[column])
        row = round((high - value) / (high - low) * down)
        dots += _line(before, (column, row)) if before else [(column, row)]
        before = (column, row)
    return dots


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [(round(start[0] + (end[0] - start[0]) * place / steps),
             round(start[1] + (end[1] - start[1]) * place / steps))
            for place in range(1, steps + 1)]


def _paint(
    bits: list[list[int]], styles: list[list[str]], y: tuple[float, float],
    x: tuple[float, float], axis_style: str,
) -> Text:
    text, last = Text(), len(bits) - 1
    for number, (row, row_styles) in enumerate(zip(bits, styles, strict=True)):
        value = y[1] - (y[1] - y[0]) * number / last
        labelled = number in (0, last // 2, last)
        text.append(f"{value:>{_LABEL}.2f}" if labelled else " " * _LABEL, style=axis_style)
        text.append("┤" if labelled else "│", style=axis_style)
        for dots, style in zip(row, row_styles, strict=True):
            text.append(chr(0x2800 + dots) if dots else " ", style=style)
        text.append("\n")
    first, final = f"{x[0]:,.0f}", f"step {x[1]:,.0f}"
    gap = max(len(bits[0]) - len(first) - len(final), 1)
    text.append(" " * (_LABEL + 1) + first + " " * gap + final, style=axis_style)
    return text
