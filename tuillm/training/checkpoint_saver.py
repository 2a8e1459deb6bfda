"""When a run's checkpoints are saved, and whether there is room for them.

Knows `last`, `best` and the numbered checkpoints of a run folder; does not know what to do where
the disk refuses.
"""

import time
from typing import TYPE_CHECKING

from tuillm.store.disk_space import require_space
from tuillm.store.files import new_folder, remove_folder
from tuillm.store.run_checkpoints import step_checkpoints
from tuillm.store.run_folder import Run
from tuillm.training.checkpoint import (
    checkpoint_bytes,
    copy_model_files,
    model_bytes,
    save_checkpoint,
    save_model,
)
from tuillm.training.run_record import refuse_if_gone

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_SAVE_EVERY = 5.0
# seconds of work for each second of saving
_WORK = 25
# bytes a second that a disk is taken to write until the first checkpoint tells
_ASSUMED = 5e8


class CheckpointSaver:
    """Saves what a trainer has learned into the folder of its run.

    Raises DiskError where the disk refuses, which leaves the former checkpoint as it was.
    """

    def __init__(self, trainer: "Trainer", run: Run) -> None:
        self._trainer, self._run = trainer, run
        self._saved = time.monotonic()
        self._cost = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to save `last` again, which takes 1/25 of the time at most."""
        cost = self._cost or checkpoint_bytes(self._trainer) / _ASSUMED
        return time.monotonic() - self._saved > max(_SAVE_EVERY, _WORK * cost)

    def save_last(self) -> None:
        """Save the state to go on from."""
        self._require(checkpoint_bytes(self._trainer))
        begin = self._trainer.clock.seconds  # which leaves out a suspension in the middle
        save_checkpoint(self._trainer, self._run.last)
        self._cost = self._trainer.clock.seconds - begin
        self._saved = time.monotonic()

    def save_best(self) -> None:
        """Save the model as the best so far."""
        self._require(model_bytes(self._trainer))
        save_model(self._trainer, self._run.best)

    def save_numbered(self) -> None:
        """Keep the model as it is now as `step-N`, and of these the newest `keep`."""
        keep, step = self._trainer.config.keep, self._trainer.step
        if not keep:
            return
        self.save_last()
        with new_folder(self._run.path / f"step-{step}") as folder:
            copy_model_files(self._run.last, folder)
        for old in step_checkpoints(self._run.path)[:-keep]:
            remove_folder(old)

    def _require(self, space: int) -> None:
        refuse_if_gone(self._run)
        require_space(self._run.path, space)
