"""Shows a reply as it comes: words whole, nothing that acts on the terminal, figures below.

Knows a terminal's size and how fast text comes; where words go is `wrap`'s business, what the
figures say is `status`'s. Draws on the terminal as it is: what scrolls away is the reply's text
and nothing else, and nothing has to be undone but the style.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.styles import BaseStyle
from prompt_toolkit.utils import is_dumb_terminal

from tuillm.chat.terminal.status_line import StatusLine
from tuillm.chat.terminal.wrap import Wrap
from tuillm.errors import printable

# text that comes faster than a screen shows pictures, 60 a second, is sent 30 times a second:
# each time wakes the terminal up, which costs a small model more than all the rest
_TOGETHER = 1 / 30
_STATUS_EVERY = 0.1
_ROWS_FOR_STATUS = 4


class ReplyStream:
    """Shows one reply: `with ReplyStream(...) as stream: stream.write(token.text)`.

    The cursor must stand in the first column; at the end it does again. The status line, if there
    is one, stands on the last row until then.
    """

    def __init__(
        self, output: Output, style: BaseStyle, depth: ColorDepth, status: StatusLine | None = None
    ) -> None:
        self._output, self._depth = output, depth
        self._reply = self._attributes = style.get_attrs_for_style_str("class:reply")
        self._quiet = style.get_attrs_for_style_str("class:note")
        self._plain = is_dumb_terminal()  # it would show our sequences as text
        self._status = None if self._plain else status
        self._size = output.get_size()
        self._wrap = Wrap(self._size.columns)
        self._waiting = ""
        self._sent = self._came = self._updated = self._noted = 0.0
        self._erased = True

    def __enter__(self) -> Self:
        self._come_back()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._send(time.perf_counter())
            self._give_back("\r\n" if self._plain else self._wrap.end())

    def write(self, text: str) -> None:
        """Show some more of the reply.

        At once, unless text comes faster than a screen can show it: then some milliseconds' worth
        is sent together, with the next piece or by `refresh`.
        """
        now = time.perf_counter()
        self._waiting += text
        fast = now - self._came < _TOGETHER / 2 and now - self._sent < _TOGETHER
        self._came = now
        if not fast:
            self._send(now)

    def use_pen(self, quiet: bool) -> None:
        """Write quietly from the next piece on, or as replies are written."""
        attributes = self._quiet if quiet else self._reply
        if attributes is not self._attributes:
            self._send(time.perf_counter())
            self._attributes = attributes
            self._pen()

    def note(self, line: str, last: bool = True) -> None:
        """Show a quiet line of its own; one that is not the `last` gives way to the next one."""
        now = time.perf_counter()
        if not last and now - self._noted < _STATUS_EVERY:
            return
        self._noted = now
        if self._waiting:
            self._send(now)
        if self._plain:
            self._output.write_raw(f"{printable(line)}\r\n" if last else "")
            self._output.flush()
            return
        if self._wrap.row or self._wrap.lost:
            self._output.write_raw(self._wrap.feed("\n"))
        self._output.set_attributes(self._quiet, self._depth)
        self._output.write_raw("\r" + printable(line)[: max(self._size.columns - 1, 1)])
        self._output.erase_end_of_line()
        self._pen()
        self._output.write_raw(self._wrap.feed("\n") if last else "\r")
        self._draw_status(now, moved=last)
        self._output.flush()

    def refresh(self) -> None:
        """Send what waits, follow the window's size, bring the status line up to date."""
        self._send(time.perf_counter(), at_once=True)

    def _send(self, now: float, at_once: bool = False) -> None:
        self._check_size()
        text, self._waiting = printable(self._waiting), ""
        shown = text if self._plain else self._wrap.feed(text)
        if shown:
            self._output.write_raw(shown)
        self._draw_status(now, "\n" in shown, at_once)
        self._output.flush()
        self._sent = now

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for others to write, from the first column on; the row goes on below it."""
        self._send(time.perf_counter())
        self._give_back("" if self._plain else self._wrap.lift())
        try:
            yield
        finally:
            self._come_back()

    def _give_back(self, last: str) -> None:
        self._output.write_raw(last)
        self._output.disable_bracketed_paste()
        self._output.reset_attributes()
        self._output.flush()

    def _come_back(self) -> None:
        self._size = self._output.get_size()
        self._make_room()
        self._output.enable_bracketed_paste()  # lines pasted meanwhile wait as one text
        self._pen()
        if not self._plain:
            self._output.write_raw(self._wrap.lay(self._size.columns))
        self._updated = 0.0
        self._draw_status(time.perf_counter(), moved=True)
        self._output.flush()

    def _check_size(self) -> None:
        size = self._output.get_size()
        if size != self._size:
            self._size = size
            self._make_room()
            if not self._plain:
                self._output.write_raw(self._wrap.resize(size.columns))
            self._updated = 0.0  # the line depends on the width
            self._draw_status(time.perf_counter(), moved=True)

    def _make_room(self) -> None:
        self._wrap.free_below = self._status is not None and self._size.rows >= _ROWS_FOR_STATUS

    def _draw_status(self, now: float, moved: bool, at_once: bool = False) -> None:
        """Draw the status line when it is time, or when the screen has scrolled it away.

        Terminals differ in whether a cursor that waits behind the last column comes back there.
        When the row is full the line waits for the next token, or the row is written anew.
        """
        self._erased = self._erased or moved
        if self._status is None or not self._wrap.free_below or self._wrap.lost:
            return
        due = at_once or now - self._updated >= _STATUS_EVERY
        if not (due or self._erased) or (self._wrap.full and not at_once):
            return
        if due:
            self._updated = now
            self._erased = self._status.update(self._size.columns) or self._erased
        if self._erased:
            self._erased = False
            self._status.draw()
            self._pen()
            if self._wrap.full:
                self._output.write_raw(f"\r{self._wrap.row}")

    def _pen(self) -> None:
        self._output.set_attributes(self._attributes, self._depth)
