"""Opens the chat in the same terminal: the dashboard steps aside and comes back where it was.

Runs `tuillm chat NAME` as a child process; prompt-toolkit cannot run inside Textual's loop.
"""

import signal
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tuillm.errors import TuillmError
from tuillm.store.processes import module_command, module_environment

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard


def open_chat(app: "Dashboard", name: str) -> None:
    """Talk to a model until the person leaves the chat; says in a toast what went wrong."""
    code, problem = 0, ""
    # Ctrl-C reaches both processes. A handler, unlike SIG_IGN, is not inherited by the child.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with app.suspend():
            # nothing may be raised in here: Textual would not come back (its issue 6692)
            try:
                code = subprocess.run(module_command("tuillm", "chat", "--", name),
                                      env=module_environment()).returncode
                if code:
                    _wait_for_enter()
            except (OSError, ValueError) as error:
                problem = str(error)
    except SuspendNotSupported:
        problem = "this terminal cannot be lent to the chat"
    finally:
        signal.signal(signal.SIGINT, before)
    if problem or code:
        problem = problem or f"it ended with exit code {code}"
        app.told(TuillmError(f"the chat with {name!r} failed: {problem}", f"tuillm chat {name}"))


def _wait_for_enter() -> None:
    """Leave the chat's last words on the screen until they were read."""
    try:
        input("Press Enter to go back to the dashboard. ")
    except EOFError:
        pass
