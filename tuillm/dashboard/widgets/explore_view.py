"""The panels of an exploration on the screen, in as many columns as there is room for.

Knows widths and heights; what the panels say is `explore_panels`.
"""

from collections.abc import Callable
from functools import partial

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from tuillm.dashboard.widgets.explore_panels import Panel, panels_of
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.errors import one_line
from tuillm.store.workers.exploration_record import Exploration
from tuillm.store.workers.explore_process import ExploreProgress
from tuillm.units import size

# what a panel takes besides its lines: its border, and its padding on either side
_FRAME, _EDGES = 4, 2
_BAR = 24
# from so many rows on rankings are longer
_TALL = 50


class ExploreHead(ThemeAware, Static):
    """The two lines above the panels: which text, and how far its exploration is."""

    _label = ""
    _told: Callable[[], None] | None = None

    def redraw(self) -> None:
        if self._told:
            self._told()

    def begin(self, label: str) -> None:
        """Say which text is explored."""
        self._label = label
        self.tell(ExploreProgress("reading the text", 0.0))

    def tell(self, progress: ExploreProgress) -> None:
        """Show how far the work is."""
        self._told = partial(self.tell, progress)
        colors = self.app.theme_variables
        share = min(max(progress.share, 0.0), 1.0)
        full = round(_BAR * share)
        second = Text(no_wrap=True, overflow="ellipsis")
        second.append("━" * full, colors["primary"])
        second.append("─" * (_BAR - full), colors["muted"])
        second.append(f" {share:.0%}", "bold")
        second.append(f"  {one_line(progress.stage)}", colors["muted"])
        self._draw("", second)

    def show(self, seen: Exploration) -> None:
        """Say which text it was."""
        self._told = partial(self.show, seen)
        self._label = seen.label
        facts = f"{size(seen.size.bytes)} · {seen.size.words:,} words"
        second = f"counted in {seen.seconds.get('all', 0.0):.1f} s; nothing was trained"
        self._draw(facts, Text(second, self.app.theme_variables["muted"]))

    def fail(self, words: str) -> None:
        """Say why there is nothing to see."""
        self._told = partial(self.fail, words)
        self._draw("", Text(one_line(words), self.app.theme_variables["error"]))

    def _draw(self, facts: str, second: Text) -> None:
        colors = self.app.theme_variables
        first = Text(no_wrap=True, overflow="ellipsis")
        first.append(one_line(self._label), f"bold {colors['primary']}")
        first.append(f"   {facts}" if facts else "", colors["muted"])
        self.update(Text("\n").join([first, second]))


class ExplorePanel(Static):
    """One panel."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(Text("\n").join(panel.lines), markup=False, id=f"explore-{panel.name}")
        facts = f" · {panel.facts}" if panel.facts else ""
        self.border_title = Text(one_line(f"{panel.title}{facts}"))


class ExploreView(ThemeAware, VerticalScroll, can_focus=True):
    """All panels, scrolled together; they are laid out anew when the width changes."""

    HELP = (
        "What the text is made of, before anything is learned from it. Dimmed tokens are read and "
        "not learned. Arrows scroll, Tab goes from panel to panel."
    )
    BINDINGS = SCROLL_KEYS

    def __init__(self) -> None:
        super().__init__()
        self._seen: Exploration | None = None
        self._laid_out = (0, 0)

    def compose(self) -> ComposeResult:
        yield Horizontal(id="explore-columns")

    def show(self, seen: Exploration) -> None:
        """Show an exploration."""
        self._seen = seen
        self.redraw()

    async def on_resize(self, event: events.Resize) -> None:
        await self._lay_out()

    def redraw(self) -> None:
        """Draw everything again, in the colours of now."""
        self._laid_out = (0, 0)
        self.call_later(self._lay_out)

    def go_to_panel(self, by: int) -> None:
        """Scroll to the next panel's top, or a previous one's."""
        tops = sorted({panel.virtual_region.y for panel in self.query(ExplorePanel)})
        here = self.scroll_offset.y
        if by > 0:
            target = next((top for top in tops if top > here), None)
        else:
            target = next((top for top in reversed(tops) if top < here), None)
        if target is not None:
            self.scroll_to(y=target, animate=False)

    async def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        window = self.app.size
        wanted = width, int(window.height >= _TALL)
        if self._seen is None or not width or wanted == self._laid_out:
            return
        self._laid_out = wanted
        number = 1 if window.width < 100 else 2 if window.width < 150 else 3
        most = 16 if wanted[1] else 10
        panels = panels_of(self._seen, width // number - _FRAME, self.app.theme_variables, most)
        columns: list[list[Panel]] = [[] for _ in range(number)]
        heights = [0] * number
        for panel in panels:
            shortest = heights.index(min(heights))
            columns[shortest].append(panel)
            heights[shortest] += len(panel.lines) + _EDGES
        with self.app.batch_update():
            box = self.query_one("#explore-columns")
            await box.remove_children()
            await box.mount_all(
                Vertical(*map(ExplorePanel, column), classes="explore-column") for column in columns
            )
