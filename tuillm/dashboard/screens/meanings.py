"""What the figures in front of a person mean, and whether they are good, over the screen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tuillm.dashboard.glossary import Meaning
from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.errors import one_line


class MeaningsScreen(DismissOnce, ModalScreen[None]):
    """Names, values and what they mean; any of Escape, q and w closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,w,enter", "dismiss", "Close", id="meanings.close", show=False),
        Binding("down,j", "scroll(1)", "Down", id="meanings.down", show=False),
        Binding("up,k", "scroll(-1)", "Up", id="meanings.up", show=False),
    ]

    def __init__(self, title: str, meanings: Sequence[Meaning]) -> None:
        super().__init__()
        self._title, self._meanings = title, meanings

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide") as dialog:
            dialog.border_title = Text(one_line(self._title))
            dialog.border_subtitle = "Escape closes"
            with VerticalScroll():
                yield _Meanings(self._meanings)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False, immediate=True)


class _Meanings(ThemeAware, Static):
    """A paragraph for each."""

    def __init__(self, meanings: Sequence[Meaning]) -> None:
        super().__init__()
        self._meanings = meanings

    def on_mount(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        colors = self.app.theme_variables
        text = Text()
        for number, each in enumerate(self._meanings):
            text.append("\n\n" if number else "")
            text.append(each.name, f"bold {colors['primary']}")
            text.append(f"  {one_line(each.value)}" if each.value else "", "bold")
            text.append(f"\n{each.words}")
        self.update(text)
