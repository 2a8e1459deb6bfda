"""Follows a run folder for a screen: the backlog in a thread, then what is new by a timer.

Knows files and the event loop; draws nothing. The screen is told on the event loop.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from textual.screen import Screen
from textual.timer import Timer
from textual.worker import get_current_worker

from tuillm.dashboard.background import RepeatedErrors, run_in_background
from tuillm.dashboard.metrics_history import Batch, History, MetricsReader
from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import open_regular
from tuillm.store.jsonl import Sample, read_samples
from tuillm.store.run_folder import Run

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard

_EVERY = 1.0
_SAMPLES_AT_ONCE = 4 << 20
_LOG_TAIL = 256 * 1024


class Follower:
    """Keeps `history` in step with a run's metrics, and hands on new samples and log text.

    `on_news` is called after each change with the new samples and the new log text.
    """

    def __init__(
        self,
        screen: Screen[Any],
        run: Run,
        on_news: Callable[[list[Sample], str], None] = lambda samples, log: None,
        *,
        metrics_only: bool = False,
    ) -> None:
        self.history = History()
        self._screen, self._run, self._on_news = screen, run, on_news
        self._reader = MetricsReader(run.metrics)
        self._metrics_only, self._group = metrics_only, f"follow {run.id}"
        self._samples_at = 0
        self._log_at: int | None = None
        self._reading, self._ended = False, False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to follow; ends with the screen."""
        self._read_backlog()
        self._timer = self._screen.set_interval(_EVERY, self._tick)

    def pause(self) -> None:
        """Stop looking while nobody does."""
        if self._timer:
            self._timer.pause()

    def resume(self) -> None:
        """Look again."""
        if self._timer:
            self._timer.resume()

    def end(self) -> None:
        """Follow no longer."""
        self._ended = True
        if self._timer:
            self._timer.stop()

    @property
    def _errors(self) -> RepeatedErrors:
        return cast("Dashboard", self._screen.app).repeated_errors

    def _read_backlog(self) -> None:
        self._reading = True
        run_in_background(self._screen, self._backlog, group=self._group, repeated=True)

    def _backlog(self) -> None:
        """In a thread: batch after batch until nothing is waiting."""
        worker, app = get_current_worker(), self._screen.app
        try:
            while not worker.is_cancelled and not self._ended:
                batch = self._reader.next()
                app.call_from_thread(self._take, batch)
                if not batch.more:
                    break
        finally:
            self._reading = False

    def _tick(self) -> None:
        """On the event loop: the few lines that came since the last time."""
        if self._reading:
            return
        try:
            batch = self._reader.next()
            if batch.more:
                self._read_backlog()
            self._take(batch)
        except TuillmError as error:  # tried again the next time
            if self._run.path.is_dir():  # else it was deleted, and the screen leaves
                self._errors.tell(self._group, error)
            return
        self._errors.clear(self._group)

    def _take(self, batch: Batch) -> None:
        if self._ended:
            return
        before = self.history.version
        self.history.add(batch)
        samples, log = ([], "") if self._metrics_only else (self._new_samples(), self._new_log())
        if samples or log or self.history.version != before:
            self._on_news(samples, log)

    def _new_samples(self) -> list[Sample]:
        samples, self._samples_at = read_samples(
            self._run.samples, self._samples_at, _SAMPLES_AT_ONCE
        )
        return samples

    def _new_log(self) -> str:
        """Whole new lines of the log; of a long one at first only its tail."""
        group = f"log {self._run.id}"
        try:
            with os.fdopen(open_regular(self._run.log), "rb") as file:
                size = file.seek(0, 2)
                if self._log_at is None or size < self._log_at:
                    self._log_at = max(size - _LOG_TAIL, 0)
                file.seek(self._log_at)
                content = file.read(_LOG_TAIL)
        except FileNotFoundError:
            return ""
        except OSError as error:
            words = f"{self._run.log} cannot be read: {error.strerror or error}"
            self._errors.tell(group, TuillmError(words))
            return ""
        self._errors.clear(group)
        whole = content[: content.rfind(b"\n") + 1]
        self._log_at += len(whole)
        return whole.decode("utf-8", "replace")
