"""The themes of the dashboard: which there are, which is shown, which was chosen.

Knows Textual's registry of themes and how many colours the terminal has; draws nothing.
"""

from typing import TYPE_CHECKING

from textual.theme import Theme as TextualTheme

from tuillm.errors import TuillmError
from tuillm.theme import Theme, choose_theme, list_themes, load_theme

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard


class ThemeChoice:
    """What can be chosen, and what was there before somebody began to look around."""

    def __init__(self, app: "Dashboard") -> None:
        self._app = app
        self._themes: dict[str, Theme] = {}
        self._before = ""
        self._show(self._register(load_theme()))

    @property
    def all(self) -> list[Theme]:
        """The themes one can choose, by name."""
        return sorted(self._themes.values(), key=lambda theme: theme.name)

    def load_all(self) -> list[TuillmError]:
        """Make all themes known; return what is wrong with some."""
        themes, errors = list_themes()
        for theme in themes:
            self._register(theme)
        return errors

    def begin(self) -> None:
        """Somebody begins to look at themes."""
        self._before = self._app.theme

    def preview(self, name: str) -> None:
        """Show a theme while its name is highlighted; other names are no themes."""
        if name in self._themes:
            self._show(name)

    def give_up(self) -> None:
        """Go back to the theme that was shown before somebody looked around."""
        if self._before:
            self._show(self._before)

    def choose(self, name: str) -> None:
        """Use a theme from now on, here and in the chat.

        Raises TuillmError where it cannot be kept.
        """
        self._before = ""
        self._show(name)
        choose_theme(name)

    def _show(self, name: str) -> None:
        self._app.theme = name

    def _register(self, theme: Theme) -> str:
        self._themes[theme.name] = theme
        few = self._app.console.color_system == "standard"
        shown = theme.in_sixteen_colors() if few else theme
        self._app.register_theme(TextualTheme(**shown.textual()))
        return theme.name
