"""A real pseudo-terminal with a screen: what a person would see, and keys to press."""

import os
import signal
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import pexpect
import pyte

DEADLINE = 60.0


class Terminal:
    """Runs `python -m tuillm ...` on an 80x24 terminal and reads its screen."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        lines: int = 24,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = ("-m", "tuillm"),
    ) -> None:
        """`environment` is laid over this process's own, with 256 colours.

        `program` is what Python runs with the arguments.
        """
        self.screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        usual = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        for name in ("NO_COLOR", "COLORTERM"):
            usual.pop(name, None)
        self.raw = b""
        self._child: Any = pexpect.spawn(  # its stubs know texts only
            sys.executable,
            [*program, *arguments],
            dimensions=(lines, columns),
            env=usual | (environment or {}),
            timeout=DEADLINE,
        )
        self._child.delaybeforesend = None  # a key is sent when it is pressed

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self.press(text + "\r")

    def press(self, keys: str) -> None:
        """Send keys as they are."""
        self._child.send(keys)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.sendintr()

    def leave(self) -> None:
        """Press Ctrl-D."""
        self._child.sendeof()

    @property
    def picture(self) -> str:
        """The lines that are on the screen now, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def text(self) -> str:
        """All lines, those scrolled away included, without trailing blanks."""
        width = self.screen.columns
        above = [
            "".join(line[column].data for column in range(width)).rstrip()
            for line in self.screen.history.top
        ]
        return "\n".join(above + [line.rstrip() for line in self.screen.display])

    def wait(self, condition: str | Callable[[str], bool], seconds: float = DEADLINE) -> str:
        """Read until a text is on the screen, or a condition on it holds; return the screen."""
        holds = (lambda text: condition in text) if isinstance(condition, str) else condition
        end = time.monotonic() + seconds
        alive = True
        while time.monotonic() < end and alive:
            alive = self._read() or self._child.isalive()
            if holds(self.text):
                return self.text
        what = "waited in vain" if alive else "the program has ended; waited"
        raise AssertionError(f"{what} for {condition!r}; the screen:\n{self.text}")

    def settle(self, quiet: float = 0.05) -> str:
        """Read until nothing has come for `quiet` seconds (a second at most); return the screen."""
        end = time.monotonic() + 1
        while time.monotonic() < end and self._read(quiet):
            pass
        return self.text

    def pass_time(self, seconds: float) -> None:
        """Read what comes for so long, whatever it is."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    @property
    def pid(self) -> int:
        """The number of the program's process."""
        return int(self._child.pid)

    def wait_end(self) -> int:
        """Read until the program ends; return its exit code."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self._child.isalive():
            self._read()
        self._read()
        self._child.close()
        return self._child.exitstatus if self._child.exitstatus is not None else -1

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return bool(self._child.isalive())

    @property
    def signal(self) -> int:
        """The signal that has ended the program, or 0."""
        return int(self._child.signalstatus or 0)

    def _read(self, timeout: float = 0.1) -> bool:
        """Read what there is, waiting for it at most `timeout` seconds; return if there was any."""
        try:
            content = self._child.read_nonblocking(65_536, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.raw += content
        self._stream.feed(content)
        if b"\x1b[6n" in content:  # the terminal is asked where its cursor is
            self._child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        return True

    def kill(self) -> None:
        """End the program as the system does when memory is short: SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait_end()

    def hang_up(self) -> None:
        """Close the window under the program, and wait until it has gone."""
        self._child.ptyproc.fileobj.close()
        end = time.monotonic() + DEADLINE
        while self._child.isalive():
            assert time.monotonic() < end, "the program has outlived its terminal"
            time.sleep(0.01)

    @property
    def cooked(self) -> bool:
        """Whether the terminal shows what is typed and makes lines of it, as a shell wants it."""
        flags = termios.tcgetattr(self._child.child_fd)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def close(self) -> None:
        """End the program whatever it does."""
        self._child.close(force=True)
