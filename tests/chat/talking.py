"""A chat in a pseudo-terminal: say a line, wait for the prompt, and see what stands in between."""

from copy import deepcopy
from itertools import islice

import pyte
from terminal import Terminal

from tuillm.errors import printable

_OTHER_SCREEN = 1049


class Talk(Terminal):
    """Opens `tuillm chat` with these arguments and waits for the prompt, and for the model."""

    def __init__(self, *arguments, columns=80, lines=24, wait=True, **more):
        super().__init__("chat", *arguments, columns=columns, lines=lines, **more)
        self.screen = TwoScreens(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        self._above = []  # rows that have scrolled away
        self.wait("\n›")
        if wait:
            self.wait(lambda text: "top_k" in self.toolbar and "loading" not in self.toolbar)

    def say(self, line):
        """Type a line that fits the window, wait for the next prompt; return what came between."""
        before = self.row
        self.type(line)
        self.wait_prompt(before)
        return self.since(before)

    def wait_prompt(self, before):
        """Wait for an empty prompt below a row, with the figures below it."""
        self.wait(lambda text: self.row > before and self.line == "›" != self.toolbar)

    def since(self, row):
        """What stands between a row and the prompt, without trailing blanks."""
        return "\n".join(self.text.split("\n")[row + 1 : self.row])

    @property
    def text(self):
        """All lines, those scrolled away included, without trailing blanks."""
        for row in islice(self.screen.history.top, len(self._above), None):
            line = "".join(row[column].data for column in range(self.screen.columns))
            self._above.append(line.rstrip())
        return "\n".join([*self._above, self.picture])

    @property
    def row(self):
        """The row of the cursor, those scrolled away counted."""
        return len(self.screen.history.top) + self.screen.cursor.y

    @property
    def line(self):
        """What stands on the row of the cursor, without trailing blanks."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    @property
    def toolbar(self):
        """The last line with anything on it."""
        return next((line for line in reversed(self.picture.splitlines()) if line), "")


class TwoScreens(pyte.HistoryScreen):
    """A screen that has another one, as terminals do: what is written there leaves no trace."""

    def set_mode(self, *modes, **kind):
        if _OTHER_SCREEN in modes:
            self._below = deepcopy((self.buffer, self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **kind)

    def reset_mode(self, *modes, **kind):
        if _OTHER_SCREEN in modes:
            self.buffer, self.cursor = self._below
        super().reset_mode(*modes, **kind)


def squeezed(text):
    """A text as a terminal is shown it, without blanks and line ends: however it was wrapped."""
    return "".join(printable(text).split())
