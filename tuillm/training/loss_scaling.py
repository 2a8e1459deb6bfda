"""Loss scaling: what makes float16 gradients large enough to be numbers, and small enough again.

Knows the scale, and whether the gradients of a step were numbers; knows no model.
"""

import math

from torch import Tensor

from tuillm.training.trainer_state import ScalingState

# those of torch.amp.GradScaler
_FIRST, _GROWTH, _BACK_OFF, _INTERVAL = 2.0**16, 2.0, 0.5, 2000
# from here on down what is no number is not the scale's doing
_LEAST = 1.0


class LossScaling:
    """The factor of the loss in the backward pass (Micikevicius et al. 2018, arXiv:1710.03740).

    The rules are those of torch.amp.GradScaler: gradients that overflow skip the step and halve
    the scale, and `interval` steps in a row without that double it. Where training is not in
    float16 the scale is 1 and stays so.
    """

    def __init__(self, enabled: bool, interval: int = _INTERVAL) -> None:
        self._enabled, self._interval = enabled, interval
        self._scale = _FIRST if enabled else 1.0
        self._good_steps = 0
        self.last = self.scale  # that the last step had
        self.skipped = False  # whether it was, because of the scale alone

    @property
    def scale(self) -> float | None:
        """The scale as it is now, None where there is none."""
        return self._scale if self._enabled else None

    def scaled(self, loss: Tensor) -> Tensor:
        """Return what is to be differentiated instead of a loss."""
        return loss * self._scale if self._enabled else loss

    def update(self, norm: float) -> None:
        """Set the scale for the next step, from the gradients' norm in this one.

        A norm that is no number at a scale of 1 or less counts as no overflow: it would be none
        in float32 either.
        """
        self.last = self.scale
        overflowed = self._enabled and not math.isfinite(norm)
        self.skipped = overflowed and self._scale > _LEAST
        if overflowed:
            self._scale, self._good_steps = max(self._scale * _BACK_OFF, _LEAST), 0
            return
        self._good_steps += 1
        if self._enabled and self._good_steps >= self._interval:
            self._scale, self._good_steps = self._scale * _GROWTH, 0

    def state(self) -> ScalingState:
        """What a checkpoint keeps; nothing where there is no scale."""
        if not self._enabled:
            return {}
        return {"loss_scale": self._scale, "good_steps": self._good_steps}

    def load_state(self, numbers: ScalingState) -> None:
        """Go on from a checkpoint; one that was not in float16 has none of it.

        Raises ValueError for a scale that is none.
        """
        if self._enabled:
            self._scale = float(numbers.get("loss_scale", _FIRST))
            if not (math.isfinite(self._scale) and self._scale > 0):
                raise ValueError(f"its loss scale is {self._scale:g}")
            self._good_steps = int(numbers.get("good_steps", 0))
