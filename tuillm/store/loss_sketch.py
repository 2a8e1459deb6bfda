"""A run's training loss in a few numbers: what lists draw as a small line. Knows numbers only."""

import math
from collections.abc import Sequence

# parts of a run, each with the mean loss of its steps
PARTS = 24


class LossSketch:
    """The mean loss of each part of a run so far; `values` are those kept by an earlier process."""

    def __init__(self, values: Sequence[float] = ()) -> None:
        self._means = list(values)[:PARTS]
        self._count = 1

    @property
    def values(self) -> tuple[float, ...]:
        """The means, rounded for a small file."""
        return tuple(round(mean, 4) for mean in self._means)

    def add(self, progress: float, loss: float) -> None:
        """Take in the loss of a step after which so much of the run is over, 0 to 1.

        A run that was extended, or has gone back, draws its line anew from there.
        """
        if not math.isfinite(loss):
            return
        part = min(int(progress * PARTS), PARTS - 1)
        del self._means[part + 1 :]
        if part == len(self._means) - 1:
            self._count += 1
            self._means[part] += (loss - self._means[part]) / self._count
            return
        before = self._means[-1:] or [loss]
        self._means += before * (part - len(self._means)) + [loss]  # parts without a step
        self._count = 1
