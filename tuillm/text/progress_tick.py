"""How the long stages of preparing a text say how far they are, and learn that they are not wanted.

A stage tells its name, maybe with its speed, and how much is done; what a person reads adds the
time left. Knows no stage and no screen.
"""

import time
from collections.abc import Callable

from tuillm.units import duration

# called all the time with the name of a stage and how much of it is done, 0 to 1; what it raises
# (errors.Interrupted) ends the work
Tick = Callable[[str, float], None]
# seconds, and share of the work, after which a speed says something
_MEASURED_SECONDS, _MEASURED_SHARE = 1.0, 0.01


class Enough(Exception):
    """Raised by the tick of somebody who has seen enough: what was found until then is returned."""


def unwatched(stage: str, share: float) -> None:
    """The tick of work that nobody watches."""


class Pace:
    """Tells a tick how far work on `total` bytes is, and how many megabytes it does a second."""

    def __init__(self, stage: str, total: int, tick: Tick) -> None:
        self._stage, self._total, self._tick = stage, max(total, 1), tick
        self._done = self._skipped = 0
        self._begun = time.monotonic()

    def add(self, size: int) -> None:
        """Say that so many bytes more are done."""
        self._done += size
        seconds = time.monotonic() - self._begun
        rate = (self._done - self._skipped) / 1e6 / seconds if seconds > _MEASURED_SECONDS else 0.0
        words = f"{self._stage}, {rate:.1f} MB/s" if rate else self._stage
        self._tick(words, min(self._done / self._total, 1.0))

    def skip(self, size: int) -> None:
        """Say that so many bytes were done by an earlier process; this says nothing of speed."""
        self._done += size
        self._skipped += size


class ProgressWords:
    """Puts what a tick is told into words: the stage, how much of it is done, the time left.

    The time left is that of the stage, by how fast it went since it was first heard of: what was
    done by then, as by an earlier process, does not count.
    """

    def __init__(self) -> None:
        self._name = ""
        self._began = self._first = 0.0

    def words(self, stage: str, share: float) -> str:
        """Return `encoding the text, 12.3 MB/s, 45%, 1:20 left`; to be told of every tick."""
        now, name = time.monotonic(), stage.partition(",")[0]
        if name != self._name or share < self._first:
            self._name, self._began, self._first = name, now, share
        seconds, done = now - self._began, share - self._first
        words = f"{stage}, {share:.0%}"
        if seconds < _MEASURED_SECONDS or done < _MEASURED_SHARE or share >= 1:
            return words
        return f"{words}, {duration(round(seconds * (1 - share) / done))} left"
