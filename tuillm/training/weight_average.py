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
        self._in_use = False
        self.steps = 0

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
        if self._in_use or not self._values:
            yield
            return
        self._swap()
        self._in_use = True
        try:
            yield
        finally:
            self._in_use = False
            self._swap()

    @property
    def state_bytes(self) -> int:
        """What `state` takes, in bytes."""
        return sum(each.nbytes for each in self._values)

    def state(self) -> dict[str, Tensor]:
        """Return the values themselves, for a checkpoint whose model is the average."""
        return {f"raw.{index}": values for index, values in enumerate(self._values)}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor], steps: int) -> None:
        """Take the values there are now, a checkpoint's model, for the average after `steps` steps.

        They become those of `state`, or stay where it has none. Raises RuntimeError where these are
        of another model.
        """
        self.steps = steps
        for index, (average, values) in enumerate(zip(self._average, self._values, strict=True)):
            average.copy_(values)
            if (raw := state.get(f"raw.{index}")) is not None:
                values.copy_(raw)
        if self._values:
            self._changed()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, values in zip(self._average, self._values, strict=True):
            kept = values.clone()
            values.copy_(average)
            average.copy_(kept)
        self._changed()
