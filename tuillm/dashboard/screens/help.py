"""The keys of where one stands: what the focused panel is, what its keys do, and their ids."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tuillm.dashboard.palette import bindings_of
from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.theme_aware import ThemeAware


class HelpScreen(DismissOnce, ModalScreen[None]):
    """Help for the panel that had the focus; any of Escape, q and ? closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "Close", id="help.close", show=False),
        Binding("down,j", "scroll(1)", "Down", id="help.down", show=False),
        Binding("up,k", "scroll(-1)", "Up", id="help.up", show=False),
    ]

    def __init__(self, below: Screen[object]) -> None:
        super().__init__()
        self._below = below

    def compose(self) -> ComposeResult:
        focused = self._below.focused
        chain: list[DOMNode] = [*(focused.ancestors_with_self if focused else ()), self._below]
        about = next((text for node in chain if (text := getattr(node, "HELP", ""))), "")
        with Vertical(classes="dialog wide") as dialog:
            # on the border, where a long list of keys cannot push it out
            dialog.border_subtitle = "Escape closes · ids are for keymap.toml"
            yield Static("Keys", classes="title")
            with VerticalScroll():
                yield Static(about.replace("`", ""), classes="text", markup=False)
                yield _Keys(self._below, focused)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True)


class _Keys(ThemeAware, Static):
    """The keys that work below, a line each, with their ids."""

    def __init__(self, below: Screen[object], focused: DOMNode | None) -> None:
        super().__init__()
        self._below, self._focused = below, focused

    def on_mount(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        self.update(self._table(self._focused))

    def _table(self, focused: DOMNode | None) -> Table:
        colors = self.app.theme_variables
        table = Table.grid(padding=(0, 2))
        heading = None
        on_panel = set(focused.ancestors_with_self) - {self._below, self.app} if focused else set()
        for node, binding, keys in bindings_of(self._below, focused):
            if node not in on_panel and node not in (self._below, self.app):
                continue
            where = (
                "This panel"
                if node in on_panel
                else "Everywhere"
                if node is self.app
                else "This screen"
            )
            if where != heading:
                heading = where
                table.add_row(Text(f"\n{where}", style=f"bold {colors['primary']}"), "", "")
            table.add_row(
                Text("  ".join(keys), style="bold"),
                Text(binding.description),
                Text(str(binding.id), style=colors.get("muted", "")),
            )
        return table
