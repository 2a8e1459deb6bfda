"""The average of the weights over the last steps, which predicts better than the last ones do.

An exponential moving average whose span is a share of the steps so far, so that nothing has to be
known of the length of a run (the "power" averages of Karras et al. 2024, arXiv:2312.02696, section
3.1). Knows flat tensors; no model, no schedule.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    """Follows `values`, which the optimizer changes in place; `used` puts the average there.

    `share` is how much of the steps so far the average spans, 0 to 1; with 0 there is none, and
    nothing is done. `changed` is called after the values were replaced.
    """

    def __init__(
        self, values: Sequence[Tensor], share: float, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._share, self._changed = share, changed
        self._values = list(values) if share else []
        self._average = [each.clone() for each in self._values]
        self.in_use = False
        self.steps = 0

    @property
    def on(self) -> bool:
        """Whether there is an average."""
        return bool(self._values)

    @torch.no_grad()
    def update(self) -> None:
        """Take the values after a step into the average."""
        self.steps += 1
        new = 1 / (1 + self._share * self.steps)
        for average, values in zip(self._average, self._values, strict=True):
            average.lerp_(values, new)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the values be the average in the block; blocks may lie in each other."""
        if self.in_use or not self.on:
            yield
            return
        self._swap()
        self.in_use = True
        try:
            yield
        finally:
            self.in_use = False
            self._swap()

    @torch.no_grad()
    def begin(self, steps: int) -> None:
        """Take the values there are now for the average after `steps` steps."""
        self.steps = steps
        for average, values in zip(self._average, self._values, strict=True):
            average.copy_(values)

    @torch.no_grad()
    def _swap(self) -> None:
        for average, values in zip(self._average, self._values, strict=True):
            kept = values.clone()
            values.copy_(average)
            average.copy_(kept)
        self._changed()
