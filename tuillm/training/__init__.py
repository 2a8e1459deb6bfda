"""Training: the Trainer and what turns it into a run: checkpoints, the run folder, the worker.

Knows models, tokens and folders; draws nothing. `Trainer` is imported on first use: a forecast
tells of the text before torch is there.
"""

from typing import TYPE_CHECKING

from tuillm.training.metrics import StepMetrics

__all__ = ["StepMetrics", "Trainer"]

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer


def __getattr__(name: str) -> object:
    if name != "Trainer":
        raise AttributeError(f"module 'tuillm.training' has no attribute {name!r}")
    from tuillm.training.trainer import Trainer

    return Trainer
