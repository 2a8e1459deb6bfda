"""SIGTERM, SIGHUP and SIGQUIT end the program as an error does: the terminal is given back.

By default they end it where it stands, and the shell finds a terminal that shows nothing of what
is typed. Knows signals; what has to be given back stands in the `finally` of whoever took it.
"""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

# what signal.signal gives back and takes: what handled a signal before
Handler = Callable[[int, FrameType | None], object] | int | None

ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
# after so many seconds the main thread is woken, lest it sleep over a signal
_WAKE_AFTER = (0.05, 0.2, 1.0)
_code = 0


def end_on_signals() -> None:
    """Let these signals raise SystemExit with 128 and their number from now on.

    In the main thread; one that is ignored, as under `nohup`, stays so.
    """
    if threading.current_thread() is threading.main_thread():
        _wake_for_signals()
        for number in ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, leave)


def leave(number: int, frame: FrameType | None = None) -> None:
    """Raise SystemExit for a signal; the next one of its kind ends the program at once."""
    global _code
    _code = 128 + number
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(_code)


def _wake_for_signals() -> None:
    """Let no signal be slept over by the main thread.

    Python's handlers run between two of its instructions. A signal that comes right before the
    main thread waits in the system, or that another thread takes, would be seen when the wait is
    over, which at a question may be never. So a thread that is told of each signal interrupts it.
    """
    if not hasattr(signal, "pthread_kill") or signal.getsignal(signal.SIGURG) != signal.SIG_DFL:
        return
    signal.signal(signal.SIGURG, lambda number, frame: None)
    told, tell = map(_out_of_the_way, os.pipe())
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_wake, args=(told,), daemon=True, name="signals").start()


def _out_of_the_way(descriptor: int) -> int:
    """Return a copy of a descriptor with a number that is no closed stream's, in its place."""
    import fcntl  # there is none on Windows, where nobody comes here

    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy


def _wake(told: int) -> None:
    main = threading.main_thread().ident
    while numbers := os.read(told, 64):
        if set(numbers) != {signal.SIGURG}:
            for seconds in _WAKE_AFTER:
                time.sleep(seconds)
                signal.pthread_kill(main or 0, signal.SIGURG)


def end_after(seconds: float, number: int) -> None:
    """End the program in any case when so much time has passed since a signal."""

    def end() -> None:
        os._exit(128 + number)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def terminal_gone() -> bool:
    """Whether stdin was a terminal whose window has been closed since."""
    try:
        os.tcgetpgrp(0)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def ended_with() -> int:
    """Return the exit code of the signal that has ended the program, or 0.

    On the way out other errors may come: a window that was closed takes no last word.
    """
    return _code
