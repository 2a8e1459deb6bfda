"""Who hears Ctrl-C while a chat runs: one handler of SIGINT for all its life, which surprises no
code.

A press is remembered until the next prompt asks; whoever waits or streams looks at `pressed`. It
is raised, as Stopped, only in a `stoppable` block: around work that changes nothing and does not
look by itself. At the prompt the prompt takes it. Everything else, saving first of all, goes on to
its end. Knows signals; knows no terminal and no model.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from tuillm.terminal.ending import Handler


class Stopped(KeyboardInterrupt):
    """The person has stopped what was under way; the message, if any, says what comes of it."""


class Unread(Stopped):
    """The person has stopped a reply before the model had read what it replies to."""


class Interrupts:
    """Owns SIGINT in a `with` block, which may lie in another one of its own.

    In a thread that is not the main one, where signals never come, nothing is ever pressed.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._raises = False
        self._taker: Callable[[], bool] = _nobody
        self._depth = 0
        self._before: tuple[Handler, Callable[[sys.UnraisableHookArgs], object]] | None = None

    def __enter__(self) -> Self:
        if self._depth == 0 and threading.current_thread() is threading.main_thread():
            hook, sys.unraisablehook = sys.unraisablehook, self._lost
            self._before = signal.signal(signal.SIGINT, self._heard), hook
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._before is not None:
            handler, sys.unraisablehook = self._before
            self._before = None
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)

    def press(self) -> None:
        """Note a press that came as a key."""
        self.pressed = True

    def forget(self) -> None:
        """Begin anew: what was pressed so far stops nothing any more."""
        self.pressed = False

    def check(self) -> None:
        """Raise Stopped when Ctrl-C was pressed since the prompt."""
        if self.pressed:
            raise Stopped

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let a press end the block at once, with Stopped; so does one that came before it.

        The block must change nothing that outlives it: it may be left anywhere.
        """
        self._raises = True
        try:
            self.check()
            yield
        finally:
            self._raises = False
        self.check()

    @contextmanager
    def taken_by(self, taker: Callable[[], bool]) -> Iterator[None]:
        """Let presses in the block go to `taker`, which returns whether it has done with one."""
        self._taker = taker
        try:
            yield
        finally:
            self._taker = _nobody

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._taker():
            return
        self.pressed = True
        if self._raises:
            self._raises = False  # no second press comes into what the first one ends
            raise Stopped

    def _lost(self, problem: "sys.UnraisableHookArgs") -> None:
        """Hear of exceptions that nobody can catch: those raised while an object is destroyed."""
        if isinstance(problem.exc_value, Stopped):
            self._raises = True  # `stoppable` sees at its end, or at the next press
        elif self._before is not None:
            self._before[1](problem)


def _nobody() -> bool:
    return False
