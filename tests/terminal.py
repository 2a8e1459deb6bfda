"""A real pseudo-terminal with a screen: what a person would see, and keys to press."""

import os
import sys
import time
from collections.abc import Callable

import pexpect
import pyte

DEADLINE = 60.0


class Terminal:
    """Runs `python -m tuillm ...` on an 80x24 terminal and reads its screen."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        environment.pop("NO_COLOR", None)
        self.raw = b""
        self._child = pexpect.spawn(
            sys.executable, ["-m", "tuillm", *arguments], dimensions=(lines, columns),
            env=environment, timeout=DEADLINE,
        )

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
    def text(self) -> str:
        """All lines, those scrolled away included, without trailing blanks."""
        width = self.screen.columns
        above = ["".join(line[column].data for column in range(width)).rstrip()
                 for line in self.screen.history.top]
        return "\n".join(above + [line.rstrip() for line in self.screen.display])

    def wait(self, condition: str | Callable[[str], bool], seconds: float = DEADLINE) -> str:
        """Read until a text is on the screen, or a condition on it holds; return the screen."""
        holds = (lambda text: condition in text) if isinstance(condition, str) else condition
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read()
            if holds(self.text):
                return self.text
        raise AssertionError(f"waited in vain for {condition!r}; the screen:\n{self.text}")

    def wait_end(self) -> int:
        """Read until the program ends; return its exit code."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self._child.isalive():
            self._read()
        self._read()
        self._child.close()
        return self._child.exitstatus if self._child.exitstatus is not None else -1

    def _read(self) -> None:
        try:
            content = self._child.read_nonblocking(65_536, timeout=0.1)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            return
        self.raw += content
        self._stream.feed(content)
        if b"\x1b[6n" in content:  # the terminal is asked where its cursor is
            self._child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")

    def close(self) -> None:
        """End the program whatever it does."""
        self._child.close(force=True)
