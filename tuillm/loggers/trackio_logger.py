"""Logs a run to trackio, whose local dashboard opens with `trackio show`.

Its own environment variables hold (TRACKIO_DIR, TRACKIO_SPACE_ID, TRACKIO_SERVER_URL). Steps never
go back there: those that a resumed run takes again are left out.
"""

import contextlib
import io
import os

from tuillm.loggers.logger import LoggedRun, run_key, scalars
from tuillm.store.jsonl import MetricsRow, Sample

_PROJECT = "tuillm"


class TrackioLogger:
    """Feeds one trackio run."""

    def __init__(self, run: LoggedRun, after: int) -> None:
        """Open the run; raises trackio's errors."""
        import trackio

        self._trackio, self._last = trackio, after
        project = os.environ.get("TRACKIO_PROJECT", _PROJECT)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints how its dashboard opens
            self._run = trackio.init(
                project=project,
                name=run_key(run),
                config=run.settings | {"forecast": run.forecast},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self.where = f"{project}/{run_key(run)}"
        self.hint = f'trackio show --project "{project}"'

    def step(self, row: MetricsRow) -> None:
        """Log the figures, unless that step was logged."""
        if row["step"] > self._last:
            self._last = row["step"]
            self._run.log(scalars(row), step=row["step"])

    def sample(self, sample: Sample) -> None:
        """Log a text as Markdown that shows it as it is."""
        fenced = f"```text\n{sample.text}\n```"
        self._run.log({"samples": self._trackio.Markdown(fenced)}, step=sample.step)

    def rewind(self, step: int) -> None:
        """Leave it: its steps never go back."""

    def flush(self) -> None:
        """It sends by itself."""

    def finish(self, state: str) -> None:
        """Send what is left and close the run."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self._run.finish()
