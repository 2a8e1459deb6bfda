"""How far a run is, for whoever trains in their own Python: on stderr, and only there.

On a terminal one line is written over and over; elsewhere what happens gets a line each. A reader
that is slow, or reads nothing, does not hold up training: what it has no room for waits, and of a
lot the oldest is left out. Knows what a step measures; knows no run folder.
"""

import io
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from tuillm.errors import printable
from tuillm.training.metrics import StepMetrics
from tuillm.units import count, duration

_EVERY = 0.25  # seconds between two pictures of the line
_CLEAR = "\r\x1b[K"
# where a pipe has room at all, it takes that many bytes at once
_LONGEST, _MOST_WAITING = 4000, 1000
# seconds that a reader has for the last lines, each time it makes room
_LAST = 2.0


class Progress:
    """Writes lines, and on a terminal the line that tells of the newest step below them."""

    def __init__(self, quiet: bool) -> None:
        # no stderr, as in a program without a console, is as good as quiet
        self._wanted = not quiet and sys.stderr is not None and not sys.stderr.closed
        self._terminal = self._wanted and sys.stderr.isatty()
        self._drawn = 0.0
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)

    def say(self, line: str) -> None:
        """Tell in a line what has happened."""
        self._write(printable(line).replace("\n", " ")[: _LONGEST // 4] + "\n")

    def step(self, metrics: StepMetrics) -> None:
        """Tell how far the run is, a few times a second."""
        now = time.monotonic()
        if self._terminal and now - self._drawn > _EVERY:
            self._drawn = now
            self._write(
                f"{metrics.progress:4.0%}  step {metrics.step:,}  loss "
                f"{metrics.train_loss:.3f}  {count(metrics.tokens_per_sec)} tokens/s  "
                f"{duration(metrics.eta)} left"
            )

    def close(self) -> None:
        """Take the line away."""
        self._write("", wait=_LAST)

    def _write(self, text: str, wait: float = 0.0) -> None:
        """Write what waits and this, as far as there is room within `wait` seconds for each."""
        if not self._wanted:
            return
        self._waiting.append(((_CLEAR if self._terminal else "") + text)[:_LONGEST])
        with suppress(OSError, ValueError):  # whoever looked on has gone; the run goes on
            while self._waiting and _has_room(sys.stderr, wait):
                sys.stderr.write(self._waiting.popleft())
                sys.stderr.flush()


def _has_room(stream: TextIO, wait: float) -> bool:
    """Whether a line can be written at once, or after so many seconds."""
    try:
        looked = select.poll()
        looked.register(stream.fileno(), select.POLLOUT)
        return bool(looked.poll(1000 * wait))
    except (OSError, io.UnsupportedOperation, AttributeError):  # no file, as in a notebook
        return True


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """Yield what tells of a run in the block."""
    told = Progress(quiet)
    try:
        yield told
    finally:
        told.close()
