"""Tells when training has gone wrong: a loss or gradient that is no number, a loss that spikes.

Knows the losses of a run and how often it was rolled back; does not know where a checkpoint is.
"""

import math
from collections import deque

from tuillm.errors import TuillmError
from tuillm.training.trainer_state import GuardState

# of how many steps the loss is compared with the few last ones, and from how many on
_WINDOW, _ENOUGH, _RECENT = 64, 32, 4
# how far above the mean a spike is: in standard deviations, and in nats at least
_DEVIATIONS, _NATS = 6.0, 1.0
_BACK_OFF = 0.5


class Diverged(TuillmError):
    """The loss, or the norm of the gradients, of a step is nothing to go on from."""


class LossGuard:
    """Watches the losses of a run, and lowers its learning rates after each rollback.

    A spike is four losses in a row that are each six standard deviations, and one nat, above the
    mean of the 64 before them. After a rollback the data that went wrong is skipped, as in PaLM
    (Chowdhery et al. 2022, section 5.1), and the rates are halved for the rest of the run.
    """

    def __init__(self, most: int) -> None:
        """`most` is how many rollbacks there may be; with 0 only what is no number ends a run."""
        self._most = most
        self._losses: deque[float] = deque(maxlen=_WINDOW + _RECENT)
        self.rollbacks = 0

    @property
    def lr_scale(self) -> float:
        """What the learning rates of the schedule are multiplied by."""
        return float(_BACK_OFF**self.rollbacks)

    @property
    def exhausted(self) -> bool:
        """Whether there may be no further rollback."""
        return self.rollbacks >= self._most

    @property
    def suspicious(self) -> bool:
        """Whether the last loss alone would be a spike: no state to keep as the last good one."""
        return bool(self._losses) and self._losses[-1] > self._limit()

    def check(self, step: int, loss: float, norm: float) -> None:
        """Take note of a step; raises Diverged where it went wrong."""
        hint = "try a lower --learning-rate or --muon-lr"
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} at step {step:,}", hint)
        if not math.isfinite(norm):
            raise Diverged(f"the gradients became {norm} at step {step:,}", hint)
        self._losses.append(loss)
        if self._most and min(list(self._losses)[-_RECENT:]) > self._limit():
            raise Diverged(f"the loss spiked to {loss:.2f} at step {step:,}", hint)

    def forget(self) -> None:
        """Compare with no earlier loss: rates rise again, or the text is another one."""
        self._losses.clear()

    def state(self) -> GuardState:
        """What a checkpoint keeps."""
        return {"rollbacks": self.rollbacks, "recent_losses": list(self._losses)}

    def load_state(self, numbers: GuardState) -> None:
        """Go on from a checkpoint; older ones have none of it."""
        self.rollbacks = int(numbers.get("rollbacks", 0))
        self.forget()
        self._losses.extend(float(loss) for loss in numbers.get("recent_losses", []))

    def _limit(self) -> float:
        """What a loss must not be above, from those before the last few; inf for a few alone."""
        before = list(self._losses)[:-_RECENT]
        if len(before) < _ENOUGH:
            return math.inf
        mean = sum(before) / len(before)
        variance = sum((loss - mean) ** 2 for loss in before) / len(before)
        return mean + max(_DEVIATIONS * math.sqrt(variance), _NATS)
