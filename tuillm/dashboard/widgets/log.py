"""The tail of a run's log, with find.

Draws lines it is told about; keeps the newest few thousand.
"""

import re
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.errors import printable

_KEPT = 5000


class LogTail(ScrollView, can_focus=True):
    """Lines of text; stays at the end while it is there, marks what was searched for."""

    HELP = "What the run's process printed. / finds a text, n and N go to the next and the last."
    COMPONENT_CLASSES: ClassVar = {"log--found", "log--muted"}
    BINDINGS: ClassVar[list[BindingType]] = [
        *SCROLL_KEYS,
        Binding(
            "slash", "screen.find", "Find in the log", id="log.find", key_display="/", show=False
        ),
        Binding("n", "found(1)", "Next match", id="log.next", show=False),
        Binding("N", "found(-1)", "Previous match", id="log.previous", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._pattern: re.Pattern[str] | None = None
        self._at = -1
        self._at_end = True
        self.border_title = "log"

    def add(self, text: str) -> None:
        """Append whole lines."""
        lines = (printable(line.expandtabs(4)) for line in text.splitlines())
        self._lines = (self._lines + list(lines))[-_KEPT:]
        self._measure()
        self._stay_at_end()

    def clear(self) -> None:
        """Forget all lines."""
        self._lines = []
        self._measure()

    def find(self, text: str) -> None:
        """Mark all matches of a text, whatever its case, and go to the last one."""
        self._pattern = re.compile(re.escape(text), re.IGNORECASE) if text else None
        self._at = len(self._lines)
        if text:
            self.action_found(-1)
        self._title()
        self.refresh()

    def action_found(self, by: int) -> None:
        found = self._found()
        if not found:
            return
        after = [row for row in found if (row - self._at) * by > 0]
        self._at = (after or found)[0 if by > 0 else -1]
        self.scroll_to(y=max(self._at - self.size.height // 2, 0), animate=False)
        self._title()

    @property
    def lines(self) -> list[str]:
        """The lines kept."""
        return list(self._lines)

    def render_line(self, y: int) -> Strip:
        number = y + self.scroll_offset.y
        width, style = self.size.width, self.rich_style
        if number >= len(self._lines):
            empty = y == 0 and not self._lines
            text = "nothing was printed yet" if empty else ""
            muted = self.get_component_rich_style("log--muted")
            return Strip([Segment(text, muted)]).adjust_cell_length(width, style)
        line, segments, end = self._lines[number], [], 0
        found = self.get_component_rich_style("log--found")
        for match in self._pattern.finditer(line) if self._pattern else ():
            segments += [Segment(line[end : match.start()], style), Segment(match[0], found)]
            end = match.end()
        strip = Strip([*segments, Segment(line[end:], style)])
        left = self.scroll_offset.x
        strip = strip.crop(left, left + width).adjust_cell_length(width, style)
        if cell_len(line) > left + width:  # it goes on beyond the right edge
            strip = Strip.join([strip.crop(0, width - 1), Strip([Segment("…", style)])])
        return strip

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = new_value >= self.max_scroll_y - 1

    @on(events.Show)
    @on(events.Resize)
    def _stay_at_end(self) -> None:
        """A panel that was hidden or smaller until now has not followed what came."""
        if self._at_end:
            self.scroll_end(animate=False)

    def _found(self) -> list[int]:
        if not self._pattern:
            return []
        return [number for number, line in enumerate(self._lines) if self._pattern.search(line)]

    def _title(self) -> None:
        found = self._found()
        if self._pattern is None:
            self.border_title = "log"
        elif self._at in found:
            self.border_title = f"log · {found.index(self._at) + 1} of {len(found)}"
        else:
            self.border_title = "log · not found"

    def _measure(self) -> None:
        widest = max(map(cell_len, self._lines), default=0)
        self.virtual_size = Size(widest, len(self._lines))
        self.refresh()
