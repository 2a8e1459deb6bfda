"""A text on the screen that costs nothing while it stays what it is.

Textual lays the whole screen out anew, and sends all of it to the terminal, when a Static is
updated; here that happens only where the height changes, and else only lines that differ are sent.
"""

from typing import Self

from rich.console import RenderableType
from rich.segment import Segment
from textual.geometry import Region
from textual.widgets import Static


class CachedStatic(Static):
    """A Static that is told what to show by `draw`, and repaints the lines that have changed."""

    _lines: list[list[Segment]] | None = None
    _width = 0
    _changed: tuple[Region, ...] = ()

    def draw(self, content: RenderableType) -> None:
        """Show a rich renderable from now on."""
        width = self.content_size.width
        if not width:  # not laid out yet
            self._lines = None
            self.update(content)
            return
        console = self.app.console
        options = console.options.update(width=width, height=None)
        if self.styles.text_wrap == "nowrap":  # the rows of the screen are those of the content
            options = options.update(no_wrap=True, overflow="ellipsis")
        lines = console.render_lines(content, options)
        before, same_width = self._lines, width == self._width
        if lines == before and same_width:
            return
        self._lines, self._width = lines, width
        if before is None or len(lines) != len(before) or not same_width:
            self.update(content)
            return
        both = enumerate(zip(lines, before, strict=True))
        rows = [row for row, (new, old) in both if new != old]
        left, top = self.gutter.left, self.gutter.top
        self._changed = tuple(Region(left, top + row, width, 1) for row in rows)
        self.update(content, layout=False)
        self._changed = ()

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Repaint no more than what `draw` has found to be different."""
        return super().refresh(
            *(regions or self._changed), repaint=repaint, layout=layout, recompose=recompose
        )
