"""Curves as numbers: fewer points, smoother points, dots of braille, ticks of an axis.

Pure functions over numpy arrays. Knows no widget, no colour and no run; a value is a number
when its size is below 1e100, everything else (NaN, infinities) is passed over.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

_LARGEST = 1e100
# halvings after which a value no longer counts: below the resolution of a float64
_FORGOTTEN = 60
# from where on a unit is used, its size and its letter
_UNITS = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
# bit of the braille block (U+2800) for each of its 4 x 2 dots
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


def finite(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """The points (x, y) that are numbers, as float64 in the order of x."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    length = min(len(xs), len(ys))
    xs, ys = xs[:length], ys[:length]
    good = (np.abs(xs) < _LARGEST) & (np.abs(ys) < _LARGEST)
    if not good.all():
        xs, ys = xs[good], ys[good]
    if (xs[1:] < xs[:-1]).any():
        order = np.argsort(xs, kind="stable")
        xs, ys = xs[order], ys[order]
    return xs, ys


def decimate(x: ArrayLike, y: ArrayLike, columns: int) -> tuple[Array, Array]:
    """At most 2 * `columns` + 2 points that draw the same: lowest and highest of each column.

    They stay in the order of x, the first and the last point are kept, no-numbers dropped.
    """
    xs, ys = finite(x, y)
    if len(xs) <= 2 * columns + 2:
        return xs, ys
    edges = np.linspace(xs[0], xs[-1], columns + 1)[:-1]
    starts = np.unique(np.searchsorted(xs, edges))
    picked = [0, len(xs) - 1]
    for start, end in zip(starts, [*starts[1:], len(xs)], strict=True):
        part = ys[start:end]
        picked += [start + part.argmin(), start + part.argmax()]
    kept = np.unique(picked)
    return xs[kept], ys[kept]


def smooth(y: ArrayLike, half_life: float) -> Array:
    """An exponential average of the values, bias corrected; same length, gaps stay NaN.

    After `half_life` points a value counts half; 0 gives the values back. The same average as
    `cli.braille_chart.smooth`, exact to the rounding of float64, but in whole arrays.
    """
    values = np.asarray(y, np.float64)
    good = np.abs(values) < _LARGEST
    out = np.full(len(values), np.nan)
    out[good] = _average(values[good], half_life) if half_life > 0 else values[good]
    return out


def window(x: Array, low: float, high: float) -> slice:
    """The part of rising x inside low..high, with the neighbour on either side."""
    start, end = np.searchsorted(x, low), np.searchsorted(x, high, "right")
    return slice(max(int(start) - 1, 0), min(int(end) + 1, len(x)))


def nearest(x: Array, value: float) -> int:
    """The index of the entry of rising x that is nearest to a value; x is not empty."""
    index = int(np.searchsorted(x, value))
    if index == len(x) or (index > 0 and value - x[index - 1] <= x[index] - value):
        return index - 1
    return index


def extent(parts: Iterable[Array]) -> tuple[float, float] | None:
    """The lowest and the highest of all values, or None where there are none."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return None
    return min(float(part.min()) for part in filled), max(float(part.max()) for part in filled)


def headroom(low: float, high: float, *, floor: bool = True) -> tuple[float, float]:
    """The range of an axis for values low..high: some air, and none below 0 for a `floor`."""
    air = (high - low) * 0.05
    if air <= abs(high) * 1e-9:
        air = abs(high) * 0.1 or 1.0
    return (max(low - air, 0.0) if floor and low >= 0 else low - air), high + air


def trace(
    x: Array,
    y: Array,
    view: tuple[float, float, float, float],
    width: int,
    height: int,
    dash: tuple[int, int] | None = None,
) -> NDArray[np.bool_]:
    """The dots, [4 * height, 2 * width], of a line through the points, cut at the view.

    `view` is x from, x to, y from, y to; `dash` = (on, off) leaves columns of dots out.
    """
    dots = np.zeros((4 * height, 2 * width), bool)
    columns, rows = to_dots(x, y, view, dots.shape[1], dots.shape[0])
    ends = _clip(columns[:-1], rows[:-1], columns[1:], rows[1:], dots.shape)
    _draw(dots, *ends)
    inside = (columns > -0.5) & (columns < dots.shape[1] - 0.5)
    inside &= (rows > -0.5) & (rows < dots.shape[0] - 0.5)
    dots[np.rint(rows[inside]).astype(int), np.rint(columns[inside]).astype(int)] = True
    if dash:
        dots[:, np.arange(dots.shape[1]) % sum(dash) >= dash[0]] = False
    return dots


def to_dots(
    x: ArrayLike, y: ArrayLike, view: tuple[float, float, float, float], columns: int, rows: int
) -> tuple[Array, Array]:
    """Column and row, with fractions, of points on a grid; row 0 is the top of the view."""
    left, right, low, high = view
    across = (np.asarray(x, np.float64) - left) / (right - left) * (columns - 1)
    down = (high - np.asarray(y, np.float64)) / (high - low) * (rows - 1)
    return across, down


def braille(dots: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The cells, [height, width], of dots: the low byte of U+2800, 0 where nothing is."""
    height, width = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(height, 4, width, 2) * _BITS[None, :, None, :]
    low_bytes: NDArray[np.int64] = cells.sum(axis=(1, 3), dtype=np.int64)
    return low_bytes


def ticks(low: float, high: float, most: int) -> list[float]:
    """About `most` round numbers in low..high, 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if span <= max(abs(low), abs(high)) * 1e-12:
        return [low]
    raw = span / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(base * power for base in (1, 2, 5, 10, 20) if base * power >= raw * (1 - 1e-9))
    return multiples(low, high, step)


def multiples(low: float, high: float, step: float) -> list[float]:
    """The multiples of a step in low..high, without the noise of binary fractions."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(2 - math.floor(math.log10(step)), 0)
    # + 0.0 turns -0.0 into 0.0
    return [round(number * step, digits) + 0.0 for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """About `most` values between 10**low and 10**high: 1, 2, 5 of each decade, or 1 of some.

    Where less than three such values fit the range, round numbers as on a linear axis.
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    for bases, each in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3), ((1,), 5)):
        values = [
            float(f"{base}e{decade}") for decade in decades if decade % each == 0 for base in bases
        ]
        values = [value for value in values if low - 1e-9 <= math.log10(value) <= high + 1e-9]
        if len(values) <= most + 1:
            break
    return values if len(values) >= min(3, most) else ticks(10.0**low, 10.0**high, most)


def labels(values: Sequence[float]) -> list[str]:
    """The texts of evenly spaced ticks, all with the same decimals: '1.25', '12k', '3e-4'."""
    if not values:
        return []
    largest = max(abs(value) for value in values)
    step = min((b - a for a, b in zip(values, values[1:], strict=False)), default=largest)
    for limit, size, unit in _UNITS:
        if largest >= limit and _decimals(step / size) <= 2:
            return [
                f"{value / size:.{_decimals(step / size)}f}{unit}" if value else "0"
                for value in values
            ]
    if 0 < largest < 1e-3:
        digits = max(math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9), 0)
        return [_short_exponent(f"{value:.{digits}e}") if value else "0" for value in values]
    return [f"{value:,.{_decimals(step)}f}" for value in values]


def label(value: float) -> str:
    """The text of one round value, on an axis where steps differ: '0.05', '20', '1e-4', '5k'."""
    for _, size, unit in _UNITS:
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return _short_exponent(f"{value:.0e}") if 0 < abs(value) < 1e-3 else f"{value:g}"


def number(value: float) -> str:
    """One measured value with four digits: '2.314', '0.01230', '12.30k', '3.00e-4'."""
    if abs(value) >= 1e13 or 0 < abs(value) < 1e-3:
        return _short_exponent(f"{value:.2e}")
    for limit, size, unit in _UNITS:
        if abs(value) >= limit:
            return f"{value / size:#.4g}".rstrip(".") + unit
    if abs(value) >= 999.95:
        return f"{value:.0f}"
    return f"{value:#.4g}" if value else "0"


def _average(values: Array, half_life: float) -> Array:
    """The average of `smooth` over numbers alone.

    In blocks of B points a running sum of values / keep**i gives the sums of a block from its
    own points; of the blocks before only the last one can still be seen in them.
    """
    count, half_life = len(values), max(half_life, 0.1)  # shorter is no memory at all
    block = max(min(math.ceil(_FORGOTTEN * half_life), count), 1)
    powers = np.exp2(-np.arange(1, block + 1) / half_life)
    padded: Array = np.zeros(-(-count // block) * block)
    padded[:count] = values
    sums: Array = padded.reshape(-1, block)
    sums /= powers
    np.cumsum(sums, axis=1, out=sums)
    sums *= powers
    if len(sums) > 1:
        sums[1:] += sums[:-1, -1:] * powers
    # the sum of the weights, which after the first block has come to its limit
    forgotten = -math.expm1(-math.log(2) / half_life)
    sums[:1] *= forgotten / (1 - powers)
    sums[1:] *= forgotten
    return padded[:count]


def _clip(
    c0: Array, r0: Array, c1: Array, r1: Array, shape: tuple[int, ...]
) -> tuple[Array, Array, Array, Array]:
    """The parts of lines inside a grid of rows x columns (Liang and Barsky's way)."""
    dc, dr = c1 - c0, r1 - r0
    start: Array = np.zeros(len(c0))
    end: Array = np.ones(len(c0))
    inside = np.ones(len(c0), bool)
    right, bottom = shape[1] - 1, shape[0] - 1
    for along, room in ((-dc, c0), (dc, right - c0), (-dr, r0), (dr, bottom - r0)):
        share = np.divide(room, along, out=np.zeros_like(room), where=along != 0)
        start = np.where(along < 0, np.maximum(start, share), start)
        end = np.where(along > 0, np.minimum(end, share), end)
        inside &= (along != 0) | (room >= 0)
    keep = inside & (start <= end)
    return (
        (c0 + dc * start)[keep],
        (r0 + dr * start)[keep],
        (c0 + dc * end)[keep],
        (r0 + dr * end)[keep],
    )


def _draw(dots: NDArray[np.bool_], c0: Array, r0: Array, c1: Array, r1: Array) -> None:
    """Set the dots of lines that lie inside."""
    counts = np.ceil(np.maximum(np.abs(c1 - c0), np.abs(r1 - r0))).astype(int) + 1
    line = np.repeat(np.arange(len(counts)), counts)
    along = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = along / np.maximum(counts[line] - 1, 1)
    columns = np.rint(c0[line] + (c1 - c0)[line] * share).astype(int)
    rows = np.rint(r0[line] + (r1 - r0)[line] * share).astype(int)
    dots[rows, columns] = True


def _decimals(step: float) -> int:
    return min(max(-math.floor(math.log10(step) + 1e-9), 0), 9) if step > 0 else 0


def _short_exponent(text: str) -> str:
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"
