"""The axes of a chart: where their ticks stand and what is written there.

Numbers, logarithms, steps, time and epochs. Knows numbers and texts; draws nothing.
"""

import math
from collections.abc import Sequence
from typing import Literal

from textual_plot.axis_formatter import AxisFormatter

from tuillm import plotting

# seconds between ticks that read well; beyond a day whole days, 1, 2 or 5 times a power of ten
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAY = 86_400

AxisName = Literal["step", "elapsed", "epoch"]


class NumberAxis(AxisFormatter):
    """Plain numbers: 1.25, 12k, 3e-4. `unit` is written beside an x axis."""

    unit = ""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Round numbers in the range, about `max_ticks` of them."""
        return plotting.ticks(min_, max_, max_ticks)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Short texts with the same decimals for all."""
        return plotting.labels(ticks)

    def exact(self, value: float) -> str:
        """One value as it is read out at the cursor."""
        return plotting.number(value)


class LogAxis(NumberAxis):
    """Numbers on an axis of their logarithms: min_, max_ and the ticks are log10 of them."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """1, 2 and 5 of each decade, fewer or more as the range asks for."""
        return [math.log10(value) for value in plotting.log_ticks(min_, max_, max_ticks)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """The numbers themselves, each as short as it can be."""
        return [plotting.label(float(f"{10.0**tick:.9g}")) for tick in ticks]


class StepAxis(NumberAxis):
    """Training steps: whole numbers, '1,200'."""

    unit = "step"

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Whole round numbers."""
        ticks = plotting.ticks(min_, max_, max_ticks)
        if any(tick != int(tick) for tick in ticks):
            ticks = plotting.multiples(min_, max_, 1)
        return ticks

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """'1,200'."""
        return [self.exact(tick) for tick in ticks]

    def exact(self, value: float) -> str:
        """'1,204'."""
        return f"{value:,.0f}"


class TimeAxis(NumberAxis):
    """Seconds of work as a person says them: '45s', '1m30s', '2h', '1d06h'."""

    unit = "time"

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Whole minutes, quarters of an hour, hours, days."""
        raw = (max_ - min_) / max(max_ticks, 1)
        if raw < 1:
            return plotting.ticks(min_, max_, max_ticks)
        for step in _SECONDS:
            if step >= raw:
                return plotting.multiples(min_, max_, step)
        days = plotting.ticks(min_ / _DAY, max_ / _DAY, max_ticks)
        if any(day != int(day) for day in days):
            days = plotting.multiples(min_ / _DAY, max_ / _DAY, 1)
        return [day * _DAY for day in days]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """The two largest units that are not empty."""
        return [self.exact(tick) for tick in ticks]

    def exact(self, value: float) -> str:
        """'1m30s'; below ten seconds with a decimal."""
        if value < 0:
            return f"-{self.exact(-value)}"
        if value < 10 and value != int(value):
            return f"{value:.1f}s"
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        for large, small, units in (
            (days, hours, "dh"),
            (hours, minutes, "hm"),
            (minutes, seconds, "ms"),
        ):
            if large:
                return f"{large}{units[0]}" + (f"{small:02}{units[1]}" if small else "")
        return f"{seconds}s"


class EpochAxis(NumberAxis):
    """Passes over the text: 0.5, 1.0, 1.5."""

    unit = "epoch"

    def exact(self, value: float) -> str:
        """'1.25'."""
        return f"{value:,.2f}"


def axis_named(axis: AxisName | NumberAxis) -> NumberAxis:
    """The axis for a column of the metrics; an axis stays what it is."""
    if isinstance(axis, NumberAxis):
        return axis
    return {"step": StepAxis, "elapsed": TimeAxis, "epoch": EpochAxis}[axis]()
