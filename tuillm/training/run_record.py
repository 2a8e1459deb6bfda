"""What a run's folder tells of it: status, metrics and samples, whatever the disk does.

A line that the disk does not take waits until it does; so does a status, for which a few kilobytes
are held back. Knows the files of a run folder; knows neither the trainer nor checkpoints.
"""

import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from tuillm.errors import DiskError, TuillmError
from tuillm.store.files import append_json, write_bytes
from tuillm.store.loss_sketch import LossSketch
from tuillm.store.run_folder import Run
from tuillm.store.run_status import Status
from tuillm.training.metrics import StepMetrics

# lines that wait for a disk: those of hours
_MOST_WAITING = 100_000
_RESERVE = 64 * 1024


class RunRecord:
    """Keeps `status.json`, `metrics.jsonl` and `samples.jsonl` of a run."""

    def __init__(self, run: Run, status: Status) -> None:
        self._run = run
        self.status = status
        self._sketch = LossSketch(status.loss_curve)
        self.written = 0.0  # when the status was, by time.monotonic
        self._waiting: deque[tuple[Path, object]] = deque(maxlen=_MOST_WAITING)

    @property
    def _reserve(self) -> Path:
        return self._run.path / "reserve"

    def note(self, **update: object) -> None:
        """Change the status, to be written with the next one; it is checked only then."""
        self.status = self.status.model_copy(update=update)

    def note_step(self, metrics: StepMetrics, doing: str) -> None:
        """Change the status to what a step has come to, and what the run is at."""
        self._sketch.add(metrics.progress, metrics.train_loss)
        self.note(**metrics.status(), doing=doing, loss_curve=self._sketch.values)

    def write(self, *, must: bool = False, **update: object) -> None:
        """Write the status. With `must`, and all lines that wait, or it raises DiskError.

        Raises TuillmError when the folder is gone: nothing makes it again.
        """
        update["heartbeat"] = time.time()
        self.status = Status.model_validate(self.status.model_dump() | update)
        refuse_if_gone(self._run)
        try:
            self._write_status()
            self._write_lines()
        except DiskError:
            if must:
                raise
        self.written = time.monotonic()

    def append(self, path: Path, row: object) -> None:
        """Add a line to a file of the run, now or when the disk takes it."""
        refuse_if_gone(self._run)
        self._waiting.append((path, row))
        with suppress(DiskError):
            self._write_lines()

    def close(self) -> None:
        """Give back what was held back."""
        self._reserve.unlink(missing_ok=True)

    def _write_lines(self) -> None:
        while self._waiting:
            append_json(*self._waiting[0])
            self._waiting.popleft()

    def _write_status(self) -> None:
        try:
            self._run.write_status(self.status)
        except DiskError:
            if not self._reserve.exists():
                raise
            self._reserve.unlink()
            self._run.write_status(self.status)
            return
        if not self._reserve.exists():
            with suppress(DiskError):
                write_bytes(self._reserve, bytes(_RESERVE))


def refuse_if_gone(run: Run) -> None:
    """Raise TuillmError when a run's folder was removed: nothing makes it again."""
    if not run.path.is_dir():
        raise TuillmError(f"the folder of run {run.id!r} was removed: {run.path}")
