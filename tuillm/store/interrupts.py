"""Ctrl-C waits while a file is being saved: it is remembered and comes when that is done.

Knows signals; knows nothing of files.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no SIGINT into the block; one that came is delivered, once, at its end.

    It goes to whatever handled SIGINT before the block, so that by default KeyboardInterrupt is
    raised there. Blocks may lie in each other: the outermost delivers. Other threads than the main
    one, which signals never interrupt, pass through.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[FrameType | None] = []
    before = signal.getsignal(signal.SIGINT)
    if before is None:  # set by code that is not Python's, which we could not put back
        yield
        return
    try:
        signal.signal(signal.SIGINT, lambda number, frame: came.append(frame))
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            _deliver(before, came[0])


def _deliver(handler: object, frame: FrameType | None) -> None:
    """Do what the signal would have done; an event loop has been woken by it already."""
    if callable(handler):
        handler(signal.SIGINT, frame)
    elif handler == signal.SIG_DFL:
        signal.raise_signal(signal.SIGINT)
