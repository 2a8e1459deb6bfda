"""Signals that ask a run for an orderly end. Knows signals; knows no run."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# SIGHUP comes when the terminal of a run that somebody started by hand is closed
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for SIGTERM, SIGINT and SIGHUP while the block runs, in the main thread.

    A signal that is ignored, as nohup has it, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    taken = [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN]
    before = [signal.signal(each, lambda number, frame: stop()) for each in taken]
    try:
        yield
    finally:
        for each, handler in zip(taken, before, strict=True):
            signal.signal(each, handler)
