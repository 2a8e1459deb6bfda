"""Training: the Trainer and what turns it into a run: checkpoints, the run folder, the worker.

Knows models, tokens and folders; draws nothing.
"""

from tuillm.training.metrics import StepMetrics
from tuillm.training.trainer import Trainer

__all__ = ["StepMetrics", "Trainer"]
