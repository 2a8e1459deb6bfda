"""From the history of a run to the curves and marks of its chart. Knows both; draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuillm.dashboard.metrics_history import Array, History
from tuillm.dashboard.widgets.axes import AxisName
from tuillm.dashboard.widgets.picture import Curve, Mark
from tuillm.plotting import finite, nearest

# one role after another, for curves of several runs
_ROLES = ("primary", "secondary", "accent", "success", "warning", "error")


def loss_curves(
    history: History, axis: AxisName, *, held_out: bool = True
) -> tuple[list[Curve], list[Mark]]:
    """The loss of each step, that of the evaluations, the best of them, and where it resumed."""
    x = _axis(history, axis)
    evaluations = history.evaluations
    at = getattr(evaluations, axis)
    name = "validation loss" if held_out else "loss of the whole text"
    curves = [
        Curve("train loss", x, history.column("train_loss"), "secondary", smooth=True),
        Curve(name, at, evaluations.val_loss, "accent", "points"),
    ]
    steps = history.column("step")
    marks = [
        Mark(float(x[min(int(np.searchsorted(steps, step)), len(x) - 1)]), "resumed", "resumed")
        for step in history.resumed
        if len(x)
    ]
    if history.best:
        step, loss = history.best
        index = int(np.searchsorted(evaluations.step, step))
        marks.append(Mark(float(at[index]), "best", "best", loss))
    return curves, marks


def curve_role(number: int) -> str:
    """The theme role of one of several runs' curves."""
    return _ROLES[number % len(_ROLES)]


def overlay_curves(
    runs: Sequence[tuple[str, History]], axis: AxisName, metric: "Metric"
) -> list[Curve]:
    """A curve of a metric for each run; evaluations are joined, as are steps."""
    curves = []
    for number, (name, history) in enumerate(runs):
        role = curve_role(number)
        x, y = _values(history, axis, metric)
        if metric.evaluated:
            curves.append(Curve(name, x, y, role, "joined"))
        else:
            curves.append(Curve(name, x, y, role, smooth=metric.noisy))
    return curves


def value_at(history: History, axis: AxisName, metric: "Metric", x: float) -> float | None:
    """The value of a run nearest to x, None where there is none."""
    xs, ys = finite(*_values(history, axis, metric))
    return float(ys[nearest(xs, x)]) if len(xs) else None


@dataclass(frozen=True)
class Metric:
    """What can be compared between runs: its name with its unit, and its column.

    `evaluated` are measured at evaluations, `noisy` ones are smoothed.
    """

    name: str
    column: str
    evaluated: bool = False
    noisy: bool = True


METRICS = (
    Metric("bits per byte of the held-out text", "bits_per_byte", evaluated=True),
    Metric("validation loss, nats per token", "val_loss", evaluated=True),
    Metric("train loss, nats per token", "train_loss"),
    Metric("learning rate", "lr", noisy=False),
    Metric("gradient norm", "grad_norm"),
    Metric("throughput, tokens/s", "tokens_per_sec"),
)


def _values(history: History, axis: AxisName, metric: Metric) -> tuple[Array, Array]:
    if metric.evaluated:
        evaluations = history.evaluations
        return getattr(evaluations, axis), getattr(evaluations, metric.column)
    return _axis(history, axis), history.column(metric.column)


def _axis(history: History, axis: AxisName) -> Array:
    return history.column(axis)
