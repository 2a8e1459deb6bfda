"""Logs a run to tools from its files: what is there, then what comes, until the run is over.

How far each of them is stands in `loggers/NAME.json` of the run folder, so that a later process
goes on there. Knows run folders and what a logger is; knows no tool by itself.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from tuillm.errors import TuillmError, one_line, printable
from tuillm.loggers.available import open_logger
from tuillm.loggers.logger import LoggedRun, Logger, LoggerProgress
from tuillm.store.files import read_json, write_json
from tuillm.store.jsonl import MetricsRow, Sample, latest_steps, read_metrics, read_samples, rewind
from tuillm.store.locks import Lock, Taken, take
from tuillm.store.paths import ensure_dir
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE
from tuillm.urls import hide_secrets

_POLL = 0.5
# another process may be sending what an earlier one has logged
_WAIT = 60.0


def log_run(
    run: Run, names: tuple[str, ...], tell: Callable[[str], None], wait: float = _WAIT
) -> dict[str, LoggerProgress]:
    """Log a run to each of the tools named until it is over; return how far each came.

    A run that is over is logged whole. A logger that fails ends alone: `error` of its progress
    says why, and `tell` is told. Raises nothing but for a run that is not there.
    """
    if not (run.path / "run.json").exists():  # it was removed, and is not to be made again
        return {}
    followers = [_Follower(run, name, tell) for name in names]
    try:
        for follower in followers:
            follower.open(wait)
        while True:
            state = run.status().state  # read before the rows: what it tells of is in them
            for follower in followers:
                follower.read()
            if state not in ACTIVE:
                break
            time.sleep(_POLL)
        for follower in followers:
            follower.finish(state)
    finally:
        for follower in followers:
            follower.release()
    return {follower.name: follower.progress for follower in followers}


def progress_of(run: Run) -> dict[str, LoggerProgress]:
    """Return how far each logger of a run is, by its name."""
    found = {}
    for path in sorted(_folder(run).glob("*.json")):
        with suppress(TuillmError, ValidationError):
            found[path.stem] = _progress(path)
    return found


class _Follower:
    """One logger of a run, and how far it is."""

    def __init__(self, run: Run, name: str, tell: Callable[[str], None]) -> None:
        self._run, self.name, self._tell = run, name, tell
        self._logger: Logger | None = None
        self._lock = Lock(None)
        self._samples: list[Sample] = []
        self.progress = self._saved = LoggerProgress()

    def open(self, wait: float) -> None:
        """Open the logger where it stopped, or at the beginning."""
        try:
            folder = ensure_dir(_folder(self._run))
            self._lock = take(folder / f"{self.name}.lock", wait)
            self.progress = self._saved = self._known()
            self._logger = open_logger(self.name, _logged(self._run), self.progress.step)
            self._save(where=self._logger.where, hint=self._logger.hint, error="")
        except Taken:  # the record is that process's, and so is the logging
            self.progress = LoggerProgress(error="another process is logging it")
        except Exception as error:
            self._fail(error)

    def read(self) -> None:
        """Log what has come since the last time."""
        if self._logger is None:
            return
        try:
            rows, metrics_at = read_metrics(self._run.metrics, self.progress.metrics_at)
            samples, samples_at = read_samples(self._run.samples, self.progress.samples_at)
            if not rows and not samples and not self._samples:
                return
            if not self.progress.metrics_at:  # nothing is sent that is to be taken back
                rows = list(latest_steps(rows))
            for sample in samples:
                rewind(self._samples, sample.step, lambda known: known.step)
                self._samples.append(sample)
            for row in rows:
                self._log(self._logger, row)
            self._log_samples(self._logger, self.progress.step)
            self._logger.flush()
            self._save(metrics_at=metrics_at, samples_at=samples_at)
        except Exception as error:
            self._fail(error)

    def finish(self, state: str) -> None:
        """Tell the logger that the run is over."""
        if self._logger is None:
            return
        try:
            for sample in self._samples:
                self._logger.sample(sample)
            self._logger.finish(state)
            self._logger = None
            self._save(ended=time.time())
        except Exception as error:
            self._fail(error)

    def release(self) -> None:
        """Let another process log the run to the same tool."""
        self._lock.release()

    def _log(self, logger: Logger, row: MetricsRow) -> None:
        if "step" not in row:
            self.progress = self.progress.model_copy(update={"step": row["resumed"]})
            logger.rewind(row["resumed"])
            return
        if row["step"] <= self.progress.step:  # the run began anew
            logger.rewind(row["step"] - 1)
        self._log_samples(logger, row["step"] - 1)
        logger.step(row)
        self.progress = self.progress.model_copy(update={"step": row["step"]})

    def _log_samples(self, logger: Logger, until: int) -> None:
        """Log the samples up to a step: tools take what belongs to a step together."""
        while self._samples and self._samples[0].step <= until:
            logger.sample(self._samples.pop(0))

    def _known(self) -> LoggerProgress:
        """How far an earlier process came, unless what it wrote is gone."""
        try:
            known = _progress(_folder(self._run) / f"{self.name}.json")
        except (TuillmError, ValidationError):
            return LoggerProgress()
        gone = known.where.startswith("/") and not Path(known.where).exists()
        return LoggerProgress() if gone else known

    def _save(self, **update: object) -> None:
        self.progress = self._saved = self.progress.model_copy(update=update)
        _refuse_if_removed(self._run)
        write_json(_folder(self._run) / f"{self.name}.json", self.progress.model_dump())

    def _fail(self, error: Exception) -> None:
        what = error.message if isinstance(error, TuillmError) else f"{error}"
        words = printable(hide_secrets(one_line(what or type(error).__name__)))
        self._logger, self.progress = None, self._saved
        self._tell(f"{self.name}: {words}")
        with suppress(TuillmError):
            self._save(error=words, ended=time.time())


def _refuse_if_removed(run: Run) -> None:
    """Raise TuillmError when a run's folder is gone: nothing makes it again."""
    if not run.path.is_dir():
        raise TuillmError(f"the folder of run {run.id!r} was removed")


def _logged(run: Run) -> LoggedRun:
    status = run.status()
    try:
        forecast = read_json(run.forecast)
    except TuillmError:
        forecast = {}
    settings = run.config.model_dump(mode="json")
    return LoggedRun(run.id, run.path, status.created, settings, forecast, status.state in ACTIVE)


def _progress(path: Path) -> LoggerProgress:
    return LoggerProgress.model_validate(read_json(path))


def _folder(run: Run) -> Path:
    return run.path / "loggers"
