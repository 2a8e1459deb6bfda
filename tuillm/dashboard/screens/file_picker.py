"""Picks a text file from a tree of directories."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Static


class TextTree(DirectoryTree):
    """Directories and files, hidden ones left out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Next", id="files.down", show=False),
        Binding("k", "cursor_up", "Previous", id="files.up", show=False),
        Binding("g", "scroll_home", "First", id="files.first", show=False),
        Binding("G", "scroll_end", "Last", id="files.last", show=False),
    ]

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return [path for path in paths if not path.name.startswith(".")]


class FilesScreen(ModalScreen[Path | None]):
    """Gives the chosen file, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Cancel", id="files.cancel", show=False),
        Binding("backspace,h", "up", "The directory above", id="files.above", show=False),
        Binding("tilde", "home", "The home directory", id="files.home", show=False),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide tall"):
            yield Static(str(self._folder), classes="title", markup=False)
            yield TextTree(self._folder)
            yield Static(
                "Enter takes a file · Backspace goes up · ~ home · Escape cancels", classes="hint"
            )

    def on_mount(self) -> None:
        self.query_one(TextTree).focus()

    @on(DirectoryTree.FileSelected)
    def _selected(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(event.path)

    def action_up(self) -> None:
        self._go(self._folder.parent)

    def action_home(self) -> None:
        self._go(Path(os.path.expanduser("~")))

    def _go(self, folder: Path) -> None:
        self._folder = folder
        self.query_one(".title", Static).update(str(folder))
        self.query_one(TextTree).path = folder
