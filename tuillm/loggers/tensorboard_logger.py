"""Logs a run as TensorBoard's event files, in `tensorboard/` of its folder, through tensorboardX.

That library writes them without importing torch, which would cost as much memory as some runs.
"""

from tuillm.loggers.logger import LoggedRun, scalars
from tuillm.loggers.markup import markdown_table
from tuillm.store.jsonl import MetricsRow, Sample


class TensorboardLogger:
    """Writes event files; the time of a step is when the run began and what it had trained."""

    def __init__(self, run: LoggedRun, after: int) -> None:
        """Go on after step `after`; what was written of later ones is purged by TensorBoard."""
        from tensorboardX import SummaryWriter

        folder = run.folder / "tensorboard"
        self.where = str(folder)
        self.hint = f"tensorboard --logdir {run.folder.parent}"
        self._created = run.created
        self._writer_at = lambda step: SummaryWriter(str(folder), purge_step=step)
        self._writer = self._writer_at(after + 1 if after >= 0 else None)
        if after < 0:
            self._writer.add_text("settings", markdown_table(run.settings), 0, run.created)
            if run.forecast:
                self._writer.add_text("forecast", markdown_table(run.forecast), 0, run.created)

    def step(self, row: MetricsRow) -> None:
        """Write a point of each figure."""
        when = self._created + row.get("elapsed", 0.0)
        for name, value in scalars(row).items():
            self._writer.add_scalar(name, value, row["step"], walltime=when)

    def sample(self, sample: Sample) -> None:
        """Write a text, its lines as they are."""
        indented = "\n".join(f"    {line}" for line in sample.text.splitlines())
        self._writer.add_text("samples", indented, sample.step)

    def rewind(self, step: int) -> None:
        """Let TensorBoard forget the steps after `step`."""
        self._writer.close()
        self._writer = self._writer_at(step + 1)

    def flush(self) -> None:
        """Write what is buffered."""
        self._writer.flush()

    def finish(self, state: str) -> None:
        """Close the file."""
        self._writer.close()
