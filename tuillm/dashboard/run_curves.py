"""From the history of a run to the curves and marks of its chart. Knows both; draws nothing."""

from collections.abc import Sequence

import numpy as np

from tuillm.dashboard.metrics_history import Array, History
from tuillm.dashboard.widgets.axes import AxisName
from tuillm.dashboard.widgets.picture import Curve, Mark

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


def overlay_curves(
    runs: Sequence[tuple[str, History]], axis: AxisName, *, train: bool
) -> list[Curve]:
    """A curve a run: the loss of its steps in nats per token, or its evaluations in bits per byte.

    Only the latter compare between runs with different tokenizers.
    """
    curves = []
    for number, (name, history) in enumerate(runs):
        role = _ROLES[number % len(_ROLES)]
        if train:
            y = history.column("train_loss")
            curves.append(Curve(name, _axis(history, axis), y, role, smooth=True))
        else:
            evaluations = history.evaluations
            at = getattr(evaluations, axis)
            curves.append(Curve(name, at, evaluations.bits_per_byte, role, "points"))
    return curves


def _axis(history: History, axis: AxisName) -> Array:
    return history.column(axis)
