"""Watches a run folder until the run ends: a live view, plain lines, or JSON lines.

Knows the run folder alone: whoever started the run, it looks the same. Ctrl-C asks the run to
stop; pressed again at once, or before the run has stopped, it leaves the run going.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from tuillm.cli.comparing import comparing
from tuillm.errors import TuillmError
from tuillm.json_text import to_json
from tuillm.store.runs import ACTIVE, Run, Status, read_rows
from tuillm.units import count, duration, figure

_POLL = 0.1
# a second Ctrl-C within this time means: leave it running
_GRACE = 1.0


class View(Protocol):
    """Something that shows a run: told of news, then of the end."""

    def news(self, status: Status, rows: list[dict[str, Any]], samples: list[str]) -> None: ...

    def say(self, message: str) -> None: ...

    def close(self) -> None: ...


def watch(run: Run, *, json_lines: bool = False) -> str | None:
    """Show a run until it ends; return the name it published, or None when it was left running.

    Raises TuillmError when the run failed or its process died.
    """
    view: View
    if json_lines:
        view = JsonLines(run)
    elif sys.stdout.isatty():
        from tuillm.cli.live import LiveView

        view = LiveView(run)
    else:
        view = PlainLines(run)
    try:
        with _presses() as presses:
            status = _follow(run, view, presses)
    finally:
        view.close()
    if status is None:
        print(f"{run.id} goes on in the background; watch it: tuillm runs attach {run.id}",
              file=sys.stderr if json_lines else sys.stdout)
        return None
    return _tell_end(run, status, quiet=json_lines)


def _follow(run: Run, view: View, presses: list[float]) -> Status | None:
    """Poll the folder until the run ends; return its last status, or None when left alone."""
    metrics_at = samples_at = 0
    stopping = False
    while True:
        status = run.status()  # read before the rows: what it tells of is then in them
        rows, metrics_at = read_rows(run.metrics, metrics_at)
        texts, samples_at = read_rows(run.samples, samples_at)
        view.news(status, rows, [str(row.get("text", "")) for row in texts])
        if status.state not in ACTIVE:
            return status
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
    if not quiet:
        loss = "loss" if status.val_tokens == 0 else "held-out loss"
        print(f"{status.state} after {status.step:,} steps in {duration(status.elapsed)}; "
              f"kept is the model of step {status.best_step or status.step:,}:")
        before = (f" (before: {figure(status.before_loss)}, {figure(status.before_bits_per_byte)})"
                  if status.before_loss is not None else "")
        print(f"{loss} {figure(status.val_loss)} nats/token, "
              f"{figure(status.bits_per_byte)} bits/byte{before}")
        print(f"The model is {status.model!r}. Talk to it: tuillm chat {status.model}")
        if command := comparing(run, status):
            print(f"Before and after, side by side: {command}")
    return status.model


class PlainLines:
    """A line at the start, one every few seconds and at each evaluation; for pipes and logs."""

    def __init__(self, run: Run) -> None:
        self._every, self._shown = 5.0, 0.0
        self._notes: set[str] = set()
        print(f"run {run.id}", flush=True)

    def news(self, status: Status, rows: list[dict[str, Any]], samples: list[str]) -> None:
        for note in status.notes:
            if note not in self._notes:
                self._notes.add(note)
                print(f"note: {note}")
        for row in rows:
            if "step" not in row:  # the mark of a resume
                continue
            if "val_loss" in row or row["elapsed"] - self._shown >= self._every:
                self._shown = row["elapsed"]
                print(self._line(row), flush=True)

    def say(self, message: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _line(self, row: dict[str, Any]) -> str:
        parts = [f"step {row['step']:,}", duration(row["elapsed"]),
                 f"loss {row['train_loss']:.3f}"]
        if "val_loss" in row:
            parts.append(f"val {row['val_loss']:.3f}  {row['bits_per_byte']:.3f} bits/byte")
        parts += [f"{count(row['tokens_per_sec'])} tokens/s", f"eta {duration(row.get('eta'))}"]
        return "  ".join(parts)


class JsonLines:
    """Every step, sample and change of state as one JSON object a line."""

    def __init__(self, run: Run) -> None:
        self._run, self._state = run, ""

    def news(self, status: Status, rows: list[dict[str, Any]], samples: list[str]) -> None:
        for row in rows:
            self._print({"event": "step" if "step" in row else "resumed"} | row)
        for text in samples:
            self._print({"event": "sample", "text": text})
        if status.state != self._state:
            self._state = status.state
            self._print({"event": "state"} | self._run.as_json() | {"state": status.state})

    def say(self, message: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _print(self, value: dict[str, Any]) -> None:
        print(to_json(value), flush=True)
