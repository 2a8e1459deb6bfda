"""Watches a run folder until the run ends: a live view, plain lines, or JSON lines.

Knows the run folder alone: whoever started the run, it looks the same. Ctrl-C asks the run to
stop; pressed again at once, or before the run has stopped, it leaves the run going.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Protocol

from tuillm.cli.compare_hint import comparing
from tuillm.cli.logger_output import tell_loggers
from tuillm.cli.output import complain, print_json_line, say
from tuillm.errors import TuillmError
from tuillm.store.jsonl import MetricsRow, Sample, read_metrics, read_samples
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE, Status
from tuillm.units import count, duration, figure

_POLL = 0.1
# a second Ctrl-C within this time means: leave it running
_GRACE = 1.0


class RunView(Protocol):
    """Something that shows a run: told of news, then of the end."""

    def news(self, status: Status, rows: list[MetricsRow], samples: list[Sample]) -> None: ...

    def say(self, message: str) -> None: ...

    def close(self) -> None: ...


def watch(run: Run, *, json_lines: bool = False) -> str | None:
    """Show a run until it ends; return the name it published, or None when it was left running.

    Raises TuillmError when the run failed or its process died.
    """
    view: RunView
    if json_lines:
        view = JsonLines(run)
    elif sys.stdout.isatty():
        from tuillm.cli.live_view import LiveView

        view = LiveView(run)
    else:
        view = PlainRunView(run)
    try:
        with closing(view), _presses() as presses:
            status = _follow(run, view, presses)
    except SystemExit:  # SIGTERM, or the window was closed
        complain(_going_on(run))
        raise
    if status is None:
        say(_going_on(run), aside=json_lines)
        return None
    return _tell_end(run, status, quiet=json_lines)


def _going_on(run: Run) -> str:
    return f"{run.id} goes on in the background; watch it: tuillm runs attach {run.id}"


def _follow(run: Run, view: RunView, presses: list[float]) -> Status | None:
    """Poll the folder until the run ends; return its last status, or None when left alone."""
    metrics_at = samples_at = 0
    stopping, told = False, None
    while True:
        status = run.status()  # read before the rows: what it tells of is then in them
        rows, metrics_at = read_metrics(run.metrics, metrics_at)
        samples, samples_at = read_samples(run.samples, samples_at)
        view.news(status, rows, samples)
        if status.state not in ACTIVE:
            return status
        trouble = status.error if status.state == "paused" else None
        if trouble and trouble != told:
            view.say(f"paused: {trouble}; {status.hint or ''}".removesuffix("; "))
        told = trouble
        if len(presses) > 1:
            if stopping:
                run.request("resume")
            return None
        if presses and not stopping and time.monotonic() - presses[0] > _GRACE:
            run.request("stop")
            stopping = True
        elif len(presses) == 1 and not stopping:
            view.say("stopping after this step; Ctrl-C again leaves the run in the background")
        time.sleep(_POLL)


@contextmanager
def _presses() -> Iterator[list[float]]:
    """Collect the times of Ctrl-C in the block instead of being interrupted by it."""
    times: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        times.append(time.monotonic())

    before = signal.signal(signal.SIGINT, note)
    try:
        yield times
    finally:
        signal.signal(signal.SIGINT, before)


def _tell_end(run: Run, status: Status, quiet: bool) -> str | None:
    if status.state == "lost":
        raise TuillmError(
            f"the process of run {run.id!r} died" + (f": {status.error}" if status.error else ""),
            f"see {run.log}; go on with: tuillm runs resume {run.id}",
        )
    if status.state == "failed":
        raise TuillmError(f"run {run.id!r} failed: {status.error}", status.hint or "")
    if status.state == "stopped" and not status.model:
        if not quiet:
            when = "before the first step" if status.best_step is None else "while it prepared"
            say(
                f"stopped {when}: there is no model yet; take it up again: "
                f"tuillm runs resume {run.id}"
            )
        return None
    if not quiet:
        loss = "loss" if status.val_tokens == 0 else "validation loss"
        say(
            f"{status.state} after {status.step:,} steps in {duration(status.elapsed)}; "
            f"kept is the model of step {status.best_step or status.step:,}:"
        )
        before = (
            f" (before: {figure(status.before_loss)}, {figure(status.before_bits_per_byte)})"
            if status.before_loss is not None
            else ""
        )
        say(
            f"{loss} {figure(status.val_loss)} nats/token, "
            f"{figure(status.bits_per_byte)} bits/byte{before}"
        )
        say(f"The model is {status.model!r}. Talk to it: tuillm chat {status.model}")
        tell_loggers(run)
        if command := comparing(run, status):
            say(f"Before and after, side by side: {command}")
    return status.model


class PlainRunView:
    """A line at the start, one every few seconds and at each evaluation; for pipes and logs."""

    def __init__(self, run: Run) -> None:
        self._every, self._shown = 5.0, 0.0
        self._notes: set[str] = set()
        self._stage = ""
        say(f"run {run.id}")

    def news(self, status: Status, rows: list[MetricsRow], samples: list[Sample]) -> None:
        stage = status.doing.partition(",")[0]
        if stage and stage != self._stage:
            say(status.doing)
        self._stage = stage
        for note in status.notes:
            if note not in self._notes:
                self._notes.add(note)
                say(f"note: {note}")
        for row in rows:
            if "step" not in row:  # the mark of a resume
                continue
            elapsed = row.get("elapsed", 0.0)
            if "val_loss" in row or elapsed - self._shown >= self._every:
                self._shown = elapsed
                say(self._line(row))

    def say(self, message: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _line(self, row: MetricsRow) -> str:
        parts = [
            f"step {row['step']:,}",
            duration(row.get("elapsed")),
            f"loss {figure(row.get('train_loss'))}",
        ]
        if "val_loss" in row:
            parts.append(
                f"val {figure(row['val_loss'])}  {figure(row.get('bits_per_byte'))} bits/byte"
            )
        parts += [f"{count(row.get('tokens_per_sec'))} tokens/s", f"eta {duration(row.get('eta'))}"]
        return "  ".join(parts)


class JsonLines:
    """Every step, sample and change of state as one JSON object a line."""

    def __init__(self, run: Run) -> None:
        self._run, self._state = run, ""

    def news(self, status: Status, rows: list[MetricsRow], samples: list[Sample]) -> None:
        for row in rows:
            print_json_line({"event": "step" if "step" in row else "resumed", **row})
        for sample in samples:
            print_json_line({"event": "sample", "text": sample.text})
        if status.state != self._state:
            self._state = status.state
            print_json_line({"event": "state"} | self._run.as_json() | {"state": status.state})

    def say(self, message: str) -> None:
        pass

    def close(self) -> None:
        pass
