"""Curves as numbers: decimation, smoothing, dots and ticks against plain definitions."""

import math

import numpy as np
import pytest

from tuillm import plotting as curves
from tuillm.cli.braille_chart import smooth as smooth_by_loop
from tuillm.dashboard.widgets.axes import EpochAxis, LogAxis, NumberAxis, StepAxis, TimeAxis

NO_NUMBERS = [math.nan, math.inf, -math.inf]


def test_decimating_keeps_the_extremes_of_every_column():
    """Each column keeps its lowest and highest value, so the drawing stays the same."""
    y = np.random.default_rng(0).normal(size=10_000)
    x = np.arange(10_000.0)
    kept_x, kept_y = curves.decimate(x, y, 50)
    assert len(kept_x) <= 2 * 50 + 2
    assert (np.diff(kept_x) > 0).all()
    assert (y[kept_x.astype(int)] == kept_y).all()
    column, kept_column = (x * 50 / x[-1]).astype(int), (kept_x * 50 / x[-1]).astype(int)
    for number in range(50):
        assert kept_y[kept_column == number].min() == y[column == number].min()
        assert kept_y[kept_column == number].max() == y[column == number].max()


def test_decimating_keeps_the_ends_and_one_spike():
    """The first and last point and a single wild value survive any width."""
    y = np.zeros(100_001)
    y[[0, 31_415, -1]] = 0.5, 99, -0.5
    x, kept = curves.decimate(np.arange(len(y)), y, 3)
    assert (x[0], kept[0], x[-1], kept[-1]) == (0, 0.5, 100_000, -0.5)
    assert (31_415, 99) in set(zip(x.tolist(), kept.tolist(), strict=True))


def test_decimating_passes_over_what_is_no_number():
    """NaN and infinities are dropped from x and y, and few points stay as they are."""
    x, y = curves.decimate([0, 1, 2, 3, math.nan, 5], [1, *NO_NUMBERS, 2, 3], 10)
    assert (x.tolist(), y.tolist()) == ([0, 5], [1, 3])
    assert [len(part) for part in curves.decimate([], [], 10)] == [0, 0]
    assert [len(part) for part in curves.decimate(NO_NUMBERS, NO_NUMBERS, 10)] == [0, 0]


def test_decimating_puts_points_into_the_order_of_x():
    """A clock that went back does not confuse the columns."""
    x, y = curves.decimate([3, 1, 2], [30, 10, 20], 10)
    assert (x.tolist(), y.tolist()) == ([1, 2, 3], [10, 20, 30])


@pytest.mark.parametrize("half_life", [1, 3, 40, 5_000, 1_000_000])
@pytest.mark.parametrize("count", [1, 2, 59, 60, 61, 4_321])
def test_smoothing_is_the_average_of_the_command_line(half_life, count):
    """In whole arrays the same numbers come out as point by point, to a billionth."""
    y = np.random.default_rng(1).normal(2, 5, count)
    expected = [value for _, value in smooth_by_loop(list(enumerate(y)), half_life)]
    np.testing.assert_allclose(curves.smooth(y, half_life), expected, rtol=1e-9, atol=1e-9)


def test_smoothing_leaves_gaps_and_ignores_them():
    """A gap stays one; the values around it are averaged as if it were not there."""
    smooth = curves.smooth([1, math.nan, 3, math.inf, 5, 1e200], 2)
    without = curves.smooth([1, 3, 5], 2)
    np.testing.assert_array_equal(np.isnan(smooth), [0, 1, 0, 1, 0, 1])
    assert smooth[[0, 2, 4]].tolist() == without.tolist()
    assert len(curves.smooth([], 5)) == 0
    assert np.isnan(curves.smooth(NO_NUMBERS, 5)).all()


def test_smoothing_of_strength_zero_changes_nothing():
    """Without a half life the values come back; a constant stays itself at any."""
    assert curves.smooth([1, 2, 4], 0).tolist() == [1, 2, 4]
    np.testing.assert_allclose(curves.smooth([1, 2, 4], 1e-9), [1, 2, 4], rtol=1e-2)
    np.testing.assert_allclose(curves.smooth(np.full(1000, 7.5), 3), 7.5, rtol=1e-14)


def test_a_window_has_a_neighbour_on_either_side():
    """So a line runs to the edges of a view; beyond the ends there is none."""
    x = np.arange(10.0)
    assert x[curves.window(x, 3.5, 5.5)].tolist() == [3, 4, 5, 6]
    assert x[curves.window(x, -5, 99)].tolist() == x.tolist()
    assert x[curves.window(x, 4.2, 4.3)].tolist() == [4, 5]
    assert len(x[:0][curves.window(x[:0], 1, 2)]) == 0


def test_the_nearest_entry_is_found_from_everywhere():
    """Inside, outside and half way, where the earlier one wins."""
    x = np.array([1.0, 2.0, 10.0])
    found = [curves.nearest(x, value) for value in (-5, 1.4, 1.5, 1.6, 9, 99)]
    assert found == [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("low, high", [(1, 3), (0, 0), (-2, 2), (5, 5), (1e-7, 1e-7), (0, 1e38)])
def test_headroom_holds_all_values_and_is_never_empty(low, high):
    """There is air at the top, and at the bottom unless that would go below zero."""
    bottom, top = curves.headroom(low, high)
    assert bottom <= low <= high < top
    assert (bottom >= 0) == (low >= 0)


def test_a_line_is_drawn_from_point_to_point():
    """A diagonal fills the diagonal of dots, its ends in the corners."""
    dots = curves.trace(np.array([0.0, 1.0]), np.array([0.0, 1.0]), (0, 1, 0, 1), 4, 2)
    assert (dots == np.eye(8, dtype=bool)[::-1]).all()


def test_a_line_is_cut_at_the_view():
    """Far points cost nothing and bend nothing: only the part inside is drawn."""
    x, y = np.array([-1e9, 1e9]), np.array([-1e9, 1e9])
    dots = curves.trace(x, y, (0, 1, 0, 1), 4, 2)
    assert (dots == np.eye(8, dtype=bool)[::-1]).all()
    assert not curves.trace(x, y + 1e10, (0, 1, 0, 1), 4, 2).any()
    assert not curves.trace(x + 1e10, y, (0, 1, 0, 1), 4, 2).any()
    assert curves.trace(np.array([0.5]), np.array([0.5]), (0, 1, 0, 1), 4, 2).sum() == 1


def test_a_dash_leaves_columns_out():
    """Two dots on, two off, all along a level line."""
    dots = curves.trace(np.array([0.0, 1.0]), np.zeros(2), (0, 1, -1, 1), 4, 1, (2, 2))
    assert dots.any(axis=0).tolist() == [True, True, False, False] * 2


def test_dots_become_braille():
    """Each dot is its bit of the braille block."""
    dots = np.zeros((4, 4), bool)
    dots[0, 0] = dots[3, 1] = dots[:, 2:] = True
    assert "".join(chr(0x2800 + cell) for cell in curves.braille(dots)[0]) == "⢁⣿"


@pytest.mark.parametrize(
    "low, high, most, expected",
    [
        (0, 10, 5, ["0", "2", "4", "6", "8", "10"]),
        (1.21, 1.43, 5, ["1.25", "1.30", "1.35", "1.40"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0, 45_000, 4, ["0", "20k", "40k"]),
        (9_990, 10_010, 4, ["9,990", "9,995", "10,000", "10,005", "10,010"]),
        (0, 3e-4, 3, ["0", "1e-4", "2e-4", "3e-4"]),
        (0, 3e6, 6, ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M", "3.0M"]),
        (5, 5, 4, ["5"]),
    ],
)
def test_ticks_of_numbers(low, high, most, expected):
    """Round numbers, 1, 2 or 5 apart, with the decimals they need."""
    assert NumberAxis().get_ticks_and_labels(low, high, most)[1] == expected


@pytest.mark.parametrize(
    "low, high, most, expected",
    [
        (0.01, 10, 12, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"]),
        (0.01, 10, 6, ["0.01", "0.03", "0.1", "0.3", "1", "3", "10"]),
        (1e-6, 1e6, 6, ["1e-6", "1e-4", "0.01", "1", "100", "10k", "1M"]),
        (1.5, 11, 6, ["2", "5", "10"]),
        (2.1, 3.2, 6, ["2.2", "2.4", "2.6", "2.8", "3", "3.2"]),
        (1e-4, 5e-4, 4, ["1e-4", "2e-4", "5e-4"]),
        (3, 3, 4, ["3"]),
    ],
)
def test_ticks_of_a_logarithmic_axis(low, high, most, expected):
    """1, 2, 5 of each decade; less of them over many decades, plain steps within one."""
    axis = LogAxis()
    ticks, labels = axis.get_ticks_and_labels(math.log10(low), math.log10(high), most)
    assert labels == expected
    assert all(math.log10(low) - 1e-9 <= tick <= math.log10(high) + 1e-9 for tick in ticks)


@pytest.mark.parametrize(
    "axis, low, high, most, expected",
    [
        (StepAxis(), 1, 4_100, 4, ["2,000", "4,000"]),
        (StepAxis(), 1, 3, 6, ["1", "2", "3"]),
        (TimeAxis(), 0, 3_700, 4, ["0s", "30m", "1h"]),
        (TimeAxis(), 0, 95, 4, ["0s", "30s", "1m", "1m30s"]),
        (TimeAxis(), 0, 3, 4, ["0s", "1s", "2s", "3s"]),
        (TimeAxis(), 0, 0.5, 5, ["0s", "0.1s", "0.2s", "0.3s", "0.4s", "0.5s"]),
        (TimeAxis(), 0, 200_000, 5, ["0s", "12h", "1d", "1d12h", "2d"]),
        (TimeAxis(), 0, 1e7, 4, ["0s", "50d", "100d"]),
        (EpochAxis(), 0, 1.2, 3, ["0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_below_a_chart(axis, low, high, most, expected):
    """Whole steps, times as a person says them, parts of epochs."""
    assert axis.get_ticks_and_labels(low, high, most)[1] == expected


def test_no_axis_has_more_ticks_than_asked_for_by_more_than_one():
    """Whatever the range, labels keep apart, inside the range and rising."""
    random = np.random.default_rng(5)
    for axis in (NumberAxis(), LogAxis(), StepAxis(), TimeAxis(), EpochAxis()):
        for _ in range(500):
            low = random.uniform(-5, 5)
            low = low if isinstance(axis, LogAxis) else 10**low
            high = low + 10 ** random.uniform(-3, 0.9)
            most = int(random.integers(1, 12))
            ticks, labels = axis.get_ticks_and_labels(low, high, most)
            assert len(ticks) == len(labels) <= most + 2, (axis, low, high, most, labels)
            assert all(b > a for a, b in zip(ticks, ticks[1:], strict=False))


@pytest.mark.parametrize(
    "value, expected",
    [
        (2.3141, "2.314"),
        (0.012344, "0.01234"),
        (10.8, "10.80"),
        (12_345, "12.35k"),
        (0, "0"),
        (1.5e-5, "1.50e-5"),
        (999.96, "1000"),
        (9_999, "9999"),
        (2.5e6, "2.500M"),
        (-3.2, "-3.200"),
        (1e20, "1.00e20"),
        (123_456, "123.5k"),
    ],
)
def test_one_value_is_read_with_four_digits(value, expected):
    """A measured value is short, and as exact as one can use."""
    assert curves.number(value) == expected
