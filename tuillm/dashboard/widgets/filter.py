"""A line to filter a table with as one types; it appears with `/` and goes with Escape."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterLine(Input):
    """Hidden until it is opened; tells its table's screen about each change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Show all again", id="filter.close", show=False),
        Binding("down,enter", "leave", "To the table", id="filter.leave", show=False),
    ]

    @dataclass
    class Typed(Message):
        """Another text to filter by; '' shows everything."""

        text: str

    @dataclass
    class Left(Message):
        """The person goes back to the table."""

    def __init__(self) -> None:
        super().__init__(placeholder="filter: words that stand anywhere in a row", compact=True)
        self.display = False

    def open(self) -> None:
        """Show the line and take the focus."""
        self.display = True
        self.focus()

    def action_close(self) -> None:
        self.value = ""
        self.action_leave()

    def action_leave(self) -> None:
        self.display = bool(self.value)
        self.post_message(self.Left())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    def on_blur(self, event: events.Blur) -> None:
        self.display = bool(self.value)
