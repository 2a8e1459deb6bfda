"""The question where a model is exported to, and as what: a list of formats over a path.

Knows the formats by their names and what each is for; exports nothing.
"""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tuillm.dashboard.export_actions import FORMATS, ExportFormat, ExportRequest, problem_of
from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.paged_options import PagedOptions


class ExportDialog(DismissOnce, ModalScreen[ExportRequest | None]):
    """A list of formats over the path; arrows choose, Enter exports, Escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", id="export.cancel", show=False),
        Binding("down", "move(1)", "Next format", id="export.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous format", id="export.up", show=False, priority=True),
    ]

    def __init__(self, name: str, folder: Path, tried: ExportRequest | None = None) -> None:
        """`folder` is where it goes unless a person says otherwise, `tried` what failed before."""
        super().__init__()
        self._model, self._folder = name, folder
        self._tried = tried or ExportRequest(FORMATS[0], str(folder / name))
        self._proposed = self._tried.path if tried is None else ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(f"Export {self._model}", classes="title", markup=False)
            yield PagedOptions(*(Option(_row(each)) for each in FORMATS), compact=True)
            yield Static("to", classes="hint")
            yield Input(self._tried.path, compact=True)
            yield Static(
                self._tried.problem,
                classes="note -error" if self._tried.problem else "note",
                markup=False,
            )
            yield Static("↑ ↓ choose the format, Enter exports, Escape cancels", classes="hint")

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = FORMATS.index(self._tried.format)
        self.query_one(Input).focus()

    @property
    def format(self) -> ExportFormat:
        """The one that is highlighted."""
        return FORMATS[self.query_one(OptionList).highlighted or 0]

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.highlighted = ((options.highlighted or 0) + by) % len(FORMATS)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        """Propose a path that suits the format, unless a person has typed another."""
        line = self.query_one(Input)
        if line.value == self._proposed:
            suffix = ".gguf" if self.format.to == "gguf" else ""
            self._proposed = str(self._folder / (self._model + suffix))
            if self.format.to == "hub":
                self._proposed = f"/{self._model}"  # whose, a person has to say
            line.value = self._proposed
            line.cursor_position = 0 if self.format.to == "hub" else len(line.value)

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self._export(self.query_one(Input).value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._export(event.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.value != self._tried.path:
            self._say(problem_of(self.format, event.value))

    def _export(self, path: str) -> None:
        if problem := problem_of(self.format, path):
            self._say(problem)
        else:
            self.dismiss(ExportRequest(self.format, path))

    def _say(self, problem: str) -> None:
        note = self.query_one(".note", Static)
        note.update(problem)
        note.set_class(bool(problem), "-error")


def _row(each: ExportFormat) -> Text:
    return Text.assemble((f"{each.title:<20}", "bold"), each.use, no_wrap=True, overflow="ellipsis")
