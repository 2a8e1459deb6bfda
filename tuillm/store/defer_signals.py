"""Ctrl-C and the signals that end a program wait while a file is being saved: they are remembered
and come when that is done.

Knows signals; knows nothing of files.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

_DEFERRED = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT")
    if hasattr(signal, name)
)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no SIGINT, SIGTERM, SIGHUP or SIGQUIT into the block.

    What came is delivered, once, at its end. It goes to whatever handled it before the block, so
    that for SIGINT by default KeyboardInterrupt is raised there. Blocks may lie in each other: the
    outermost delivers. Other threads than the main one, which signals never interrupt, pass
    through.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: dict[int, FrameType | None] = {}
    # None was set by code that is not Python's, which we could not put back
    before = {
        number: handler for number in _DEFERRED if (handler := signal.getsignal(number)) is not None
    }
    try:
        for number in before:
            signal.signal(number, came.setdefault)
        yield
    finally:
        for number, handler in before.items():  # Ctrl-C last: its handler may raise right here
            signal.signal(number, handler)
        _deliver_all(list(came.items()), before)


def _deliver_all(came: list[tuple[int, FrameType | None]], before: Mapping[int, object]) -> None:
    """Deliver one after the other, whatever the first ones raise."""
    if came:
        (number, frame), *rest = came
        try:
            _deliver(number, before[number], frame)
        finally:
            _deliver_all(rest, before)


def _deliver(number: int, handler: object, frame: FrameType | None) -> None:
    """Do what the signal would have done; an event loop has been woken by it already."""
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.raise_signal(number)
