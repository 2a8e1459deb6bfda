"""A text on the screen that costs nothing while it stays what it is.

Textual lays the whole screen out anew, and sends all of it to the terminal, when a Static is
updated; here that happens only where the height changes, and what is the same is not drawn at all.
"""

from rich.console import RenderableType
from rich.segment import Segment
from textual.widgets import Static


class CachedStatic(Static):
    """A Static that is told what to show by `draw`."""

    _lines: list[list[Segment]] | None = None
    _width = 0

    def draw(self, content: RenderableType) -> None:
        """Show a rich renderable from now on."""
        width = self.content_size.width
        if not width:  # not laid out yet
            self._lines = None
            self.update(content)
            return
        console = self.app.console
        lines = console.render_lines(content, console.options.update(width=width, height=None))
        if lines == self._lines and width == self._width:
            return
        same_height = self._lines is not None and len(lines) == len(self._lines)
        self._lines, self._width = lines, width
        self.update(content, layout=not same_height)
