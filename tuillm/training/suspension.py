"""Time in which a process did not run, because it or the machine was suspended, is not training.

SIGSTOP and a machine that sleeps leave no trace but in a clock that runs on. Knows the clock of a
run; knows no trainer.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# seconds between two looks at the clock; a gap beyond the second is a suspension where the process
# was continued since, and one beyond the third whatever was: no single operation takes so long
_EVERY, _GAP, _LONG_GAP = 0.5, 2.0, 300.0


class SuspensionWatch:
    """Finds the gaps in a process's life, and has `leave_out` take them out of a run's time."""

    def __init__(
        self, leave_out: Callable[[float], None], now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._leave_out, self._now = leave_out, now
        self._lock = threading.RLock()  # a second SIGCONT may interrupt the first
        self._seen = now()
        self._gap = 0.0  # the last one that was seen, not accounted for yet
        self._gap_ended = self._seen

    def look(self) -> None:
        """Look at the clock; to be called every half second while the process runs."""
        with self._lock:
            now = self._now()
            gap = now - self._seen
            self._seen = now
            if gap > _LONG_GAP:
                self._leave_out(gap)
            elif gap > _GAP:
                self._gap, self._gap_ended = gap, now

    def continued(self) -> None:
        """Say that the process has just been continued: what it missed was a suspension."""
        with self._lock:
            now = self._now()
            missed = now - self._seen
            if missed <= _GAP and now - self._gap_ended < _GAP:
                missed = self._gap  # `look` was faster
            self._gap, self._seen = 0.0, now
            if missed > _GAP:
                self._leave_out(missed)


@contextmanager
def watch_suspension(leave_out: Callable[[float], None]) -> Iterator[None]:
    """Leave suspensions out of the time of a run while the block runs, in the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCONT"):
        yield
        return
    watch, over = SuspensionWatch(leave_out), threading.Event()

    def look_again() -> None:
        while not over.wait(_EVERY):
            watch.look()

    before = signal.signal(signal.SIGCONT, lambda number, frame: watch.continued())
    thread = threading.Thread(target=look_again, name="suspension", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGCONT, before)
