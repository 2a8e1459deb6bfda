"""Small questions over a screen: yes or no, and one line of text."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.paged_options import PagedOptions
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


class Ask(DismissOnce, ModalScreen[str | None]):
    """One line of text, checked as it is typed; Escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", id="ask.cancel", show=False),
        Binding("down", "move(1)", "Next", id="ask.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="ask.up", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        check: Callable[[str], object] | None = None,
        note: str = "",
        problem: str = "",
        known: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`check` raises TuillmError for what cannot be taken; its words are shown.

        `problem` is what was wrong with `value` when it was tried, shown until it is changed.
        `known` are values that can be chosen with the arrows, each with what is known of it.
        """
        super().__init__()
        self._known = dict(known)
        self._title, self._value, self._check, self._note = title, value, check, note
        self._tried = problem

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            if self._known:
                width = max(map(len, self._known)) + 2
                rows = [
                    Option(
                        Text.assemble((f"{value:<{width}}", "bold"), about, no_wrap=True), id=value
                    )
                    for value, about in self._known.items()
                ]
                yield PagedOptions(*rows, compact=True)
            yield Input(self._value, compact=True)
            yield Static(
                self._tried or self._note,
                classes="note -error" if self._tried else "note",
                markup=False,
            )
            arrows = "↑ ↓ choose, " if self._known else ""
            yield Static(f"{arrows}Enter takes it, Escape cancels", classes="hint")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        if self._value in self._known:
            self.query_one(OptionList).highlighted = list(self._known).index(self._value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Arrows choose where there is something to choose from."""
        return bool(self._known) if action == "move" else True

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.highlighted = (
            0 if options.highlighted is None else (options.highlighted + by) % len(self._known)
        )

    @on(OptionList.OptionHighlighted)
    def _chosen(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one(Input).value = str(event.option.id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option.id))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        if self._tried and event.value == self._value:
            return
        problem = self._problem(event.value)
        note = self.query_one(".note", Static)
        note.update(problem or self._note)
        note.set_class(bool(problem) and event.value != self._value, "-error")

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
