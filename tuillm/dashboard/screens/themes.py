"""The choice of a theme: a narrow panel at the side, and beside it the screen in that theme.

Knows the themes of the app and what was typed to find one.
"""

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.paged_options import PagedOptions

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard


class ThemesScreen(DismissOnce, ModalScreen[None]):
    """Type to find a theme, Enter keeps it, Escape goes back to the one before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Keep the theme there was", id="themes.close", show=False),
        Binding("down", "move(1)", "Next theme", id="themes.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous theme", id="themes.up", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="themes", classes="panel") as panel:
            panel.border_title = "theme"
            panel.border_subtitle = "Enter keeps it"
            yield Input(placeholder="type to find one", compact=True)
            yield PagedOptions(compact=True)
            yield Static(classes="note", markup=False)

    def on_mount(self) -> None:
        self.dashboard.themes.begin()
        self._list("")
        self._highlight(self.app.theme)

    @property
    def dashboard(self) -> "Dashboard":
        """The app, with its themes."""
        return cast("Dashboard", self.app)

    @property
    def names(self) -> list[str]:
        """The names that are listed."""
        return [str(option.id) for option in self.query_one(OptionList).options]

    def _list(self, typed: str) -> None:
        words = typed.casefold().split()
        found = [
            theme
            for theme in self.dashboard.themes.all
            if all(word in f"{theme.name} {theme.about}".casefold() for word in words)
        ]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(Text(theme.name), id=theme.name) for theme in found)

    def _highlight(self, name: str) -> None:
        names = self.names
        self.query_one(OptionList).highlighted = names.index(name) if name in names else 0

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._list(event.value)
        if self.names:
            self._highlight(self.app.theme if not event.value else self.names[0])

    @on(OptionList.OptionHighlighted)
    def _look(self, event: OptionList.OptionHighlighted) -> None:
        name = str(event.option.id)
        self.dashboard.themes.preview(name)
        about = next(theme.about for theme in self.dashboard.themes.all if theme.name == name)
        self.query_one(".note", Static).update(about)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._keep(str(event.option.id))

    @on(Input.Submitted)
    def _submitted(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self._keep(self.names[options.highlighted])

    def _keep(self, name: str) -> None:
        self.dashboard.choose_theme(name)
        self.dismiss()

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_give_up(self) -> None:
        self.dashboard.themes.give_up()
        self.dismiss()
