"""The pane beside a table that tells all about the entry under its cursor.

Knows how it scrolls and when it starts at the top again; what it tells is its subclass's.
"""

from typing import Generic, TypeVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tuillm.dashboard.widgets.border_title import set_border_title
from tuillm.dashboard.widgets.cached_static import CachedStatic
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.theme_aware import ThemeAware

E = TypeVar("E")
Part = Table | Text


class Details(ThemeAware, VerticalScroll, Generic[E], can_focus=True):
    """A pane of headings, facts and text about one entry, or empty."""

    DEFAULT_CLASSES = "details panel"
    BINDINGS = SCROLL_KEYS

    def __init__(self) -> None:
        super().__init__()
        self._told_of = ""
        self._entry: E | None = None

    def compose(self) -> ComposeResult:
        yield CachedStatic()

    def show(self, entry: E | None) -> None:
        """Show an entry, or nothing; another one is shown from its top."""
        self._entry = entry
        name = self.title(entry) if entry is not None else ""
        set_border_title(self, name)
        self.redraw()
        if name != self._told_of:
            self._told_of = name
            self.scroll_home(animate=False)

    def redraw(self) -> None:
        entry = self._entry
        parts = self.parts(entry, self.app.theme_variables) if entry is not None else []
        self.query_one(CachedStatic).draw(Group(*parts))

    def title(self, entry: E) -> str:
        """What tells the entry from others."""
        raise NotImplementedError

    def parts(self, entry: E, colors: dict[str, str]) -> list[Part]:
        """All that is known about the entry."""
        raise NotImplementedError
