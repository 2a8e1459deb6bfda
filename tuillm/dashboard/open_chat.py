"""Opens the chat in the same terminal: the dashboard steps aside and comes back where it was.

Runs `tuillm chat NAME` as a child process; prompt-toolkit cannot run inside Textual's loop.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen, TimeoutExpired
from types import FrameType
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tuillm.errors import TuillmError
from tuillm.store.workers.processes import module_command, module_environment
from tuillm.terminal.echo import drop_typed
from tuillm.terminal.ending import ENDING, Handler, end_after

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard

# seconds: a chat that has got the signal as we have may end by itself; then it is told
_GRACE = 0.5
_PATIENCE = 5.0


class _Ended(Exception):
    """SIGTERM or SIGHUP has come: its number."""


def open_chat(app: "Dashboard", name: str, go_on: str = "") -> None:
    """Talk to a model until the person leaves the chat; says in a toast what went wrong.

    `go_on` is the id of a conversation that is taken up.
    """
    code, problem = 0, ""
    # Ctrl-C reaches both processes. A handler, unlike SIG_IGN, is not inherited by the child.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with app.suspend():
            # nothing may be raised in here: Textual would not come back (its issue 6692)
            try:
                code = _talk(name, go_on)
            except (OSError, ValueError) as error:
                problem = str(error)
            with suppress(OSError, ValueError, AttributeError):  # where there is no stdin
                drop_typed(sys.stdin.fileno())  # keys that were meant for the chat
        app.drop_typed()  # and those that had been read when it opened
    except SuspendNotSupported:
        problem = "this terminal cannot be lent to the chat"
    finally:
        signal.signal(signal.SIGINT, before)
    if problem or code:
        problem = problem or f"it ended with exit code {code}"
        app.show_error(
            TuillmError(f"the chat with {name!r} failed: {problem}", f"tuillm chat {name}")
        )


def _talk(name: str, go_on: str) -> int:
    """Run the chat, wait for its end, and return its exit code; 0 when a signal ends us both.

    The loop hears of the signal as soon as it runs again, and leaves.
    """
    options = [f"--continue={go_on}"] if go_on else []
    command = module_command("tuillm", "chat", *options, "--", name)
    chat = Popen(command, env=module_environment())
    try:
        with _raising():
            code = chat.wait()
            if code:
                _wait_for_enter()
            return code
    except _Ended as ended:
        end_after(3 * _PATIENCE, ended.args[0])  # the terminal may not come back
        _end(chat, ended.args[0])
        return 0


def _end(chat: "Popen[bytes]", number: int) -> None:
    """Let a chat end as we have to; one that has got the signal, too, must not get it twice."""
    for seconds, action in ((_GRACE, lambda: chat.send_signal(number)), (_PATIENCE, chat.kill)):
        with suppress(TimeoutExpired):
            chat.wait(seconds)
            return
        action()
    chat.wait()


@contextmanager
def _raising() -> Iterator[None]:
    """Let the first signal that ends programs raise _Ended in the block."""
    before: dict[int, Handler] = {}

    def ended(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, ended)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_enter() -> None:
    """Leave the chat's last words on the screen until they were read."""
    try:
        input("Press Enter to go back to the dashboard. ")
    except EOFError:
        pass
