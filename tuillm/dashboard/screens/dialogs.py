"""Small questions over a screen: yes or no, and one line of text."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.errors import TuillmError


class Confirm(DismissOnce, ModalScreen[bool]):
    """A question that is answered by y or n; Enter takes the button that has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", id="confirm.no", show=False),
        Binding("left,right,h,l", "other", "The other button", id="confirm.other", show=False),
    ]

    def __init__(self, title: str, question: str, verb: str) -> None:
        super().__init__()
        self._title, self._question, self._verb = title, question, verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Static(self._question, classes="text", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(f"{self._verb} (y)", id="yes", variant="primary", compact=True)
                yield Button("Cancel (n)", id="no", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def action_other(self) -> None:
        self.focus_next()


class LineDialog(DismissOnce, ModalScreen[str | None]):
    """A question for a line of text, checked as it is typed; Escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", id="ask.cancel", show=False)
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        check: Callable[[str], object] | None = None,
        note: str = "",
        problem: str = "",
    ) -> None:
        """`check` raises TuillmError for what cannot be taken; its words are shown.

        `problem` is what was wrong with `value` when it was tried, shown until it is changed.
        """
        super().__init__()
        self._title, self._value, self._check, self._note = title, value, check, note
        self._tried = problem

    def compose_line(self) -> ComposeResult:
        """Yield the line that is typed, and what is to say of it."""
        yield Input(self._value, compact=True)
        yield Static(
            self._tried or self._note,
            classes="note -error" if self._tried else "note",
            markup=False,
        )

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        again = event.value == self._value  # as a table below it may have put it there
        tried = self._tried if again else ""
        problem = tried or self._problem(event.value)
        note = self.query_one(".note", Static)
        note.update(problem or self._note)
        note.set_class(bool(tried) or bool(problem) and not again, "-error")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if not self._problem(event.value):
            self.dismiss(event.value)

    def _problem(self, value: str) -> str:
        try:
            if self._check:
                self._check(value)
        except TuillmError as error:
            return str(error)
        return ""


class Ask(LineDialog):
    """One line of text and nothing beside it."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield from self.compose_line()
            yield Static("Enter takes it, Escape cancels", classes="hint")
