"""Picks what a run learns from: one file, several that are marked, or a whole folder.

Lists one folder at a time, as the disk has it; opens no file.
"""

import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.file_kinds import NO_TEXT, is_readable, kind_by_name
from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.columns import Column
from tuillm.dashboard.widgets.filter import FilterLine
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.errors import TuillmError, one_line
from tuillm.units import size

_FOLDER = "folder"
_HINT = (
    "Enter opens a folder, takes a file · t takes either · Space marks\n"
    "/ finds a name · . takes this folder · Backspace up · ~ home · Esc"
)


@dataclass(frozen=True)
class FileEntry:
    """What stands in a folder: a file of `size` bytes, or another folder."""

    path: Path
    kind: str
    size: int | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it can be opened."""
        return self.kind == _FOLDER

    @property
    def shown(self) -> str:
        """Its name, in safe characters; a folder's ends with a slash."""
        return one_line(self.path.name) + ("/" if self.is_folder else "")


def _role(entry: FileEntry) -> str:
    return "secondary" if entry.is_folder else "" if is_readable(entry.kind) else "muted"


COLUMNS = [
    Column[FileEntry](
        "name",
        "name",
        lambda e: e.shown,
        lambda e: (not e.is_folder, e.path.name.casefold()),
        role=_role,
    ),
    Column[FileEntry]("kind", "", lambda e: e.kind, rank=1, role=lambda e: "muted"),
    Column[FileEntry](
        "size",
        "size",
        lambda e: "" if e.size is None else size(e.size),
        lambda e: e.size,
        True,
        rank=2,
        role=_role,
    ),
]


class FilesScreen(DismissOnce, ModalScreen[list[Path] | None]):
    """Gives the files and folders that were chosen, or None; begins at a folder or a file in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "Cancel", id="files.cancel", show=False),
        Binding("t", "take", "Take it, or all marked", id="files.take", show=False),
        Binding("full_stop", "take_here", "Take this folder", id="files.take_here", show=False),
        Binding("space", "mark", "Mark", id="files.mark", show=False),
        Binding("slash", "filter", "Find a name", id="files.filter", show=False),
        Binding("right,l", "open", "Open the folder", id="files.open", show=False),
        Binding("backspace,left,h", "up", "The folder above", id="files.above", show=False),
        Binding("tilde", "home", "The home folder", id="files.home", show=False),
    ]

    def __init__(self, start: Path) -> None:
        super().__init__()
        self._folder = start if start.is_dir() else start.parent
        self._sought = str(start)
        # those of other folders, too, in the order in which they were marked
        self._marked: dict[str, None] = {}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide tall"):
            yield Static(classes="title", markup=False)
            yield EntryTable(COLUMNS, lambda entry: str(entry.path), sort="name")
            yield Static(classes="note", markup=False)
            yield FilterLine()
            yield Static(_HINT, classes="hint", markup=False)

    def on_mount(self) -> None:
        self._table.focus()
        self._go(self._folder, self._sought)

    @property
    def folder(self) -> Path:
        """The folder that is shown."""
        return self._folder

    @property
    def _table(self) -> EntryTable[FileEntry]:
        return self.query_one(EntryTable)

    # what is shown

    def _go(self, folder: Path, sought: str) -> None:
        """Show another folder, the cursor on `sought` in it."""
        self._folder = folder
        self.query_one(".title", Static).update(one_line(str(folder)))
        self.query_one(FilterLine).value = ""

        def read() -> None:
            """In a thread: a folder may be large, and its disk far away."""
            self.app.call_from_thread(self._show, folder, _entries(folder), sought)

        failed = partial(self._failed, folder)
        run_in_background(self, read, group="files", exclusive=True, failed=failed)

    def _show(self, folder: Path, entries: list[FileEntry], sought: str) -> None:
        if folder == self._folder and self.is_mounted:
            self._table.show(entries)
            self._table.marked = {str(each.path) for each in entries} & self._marked.keys()
            self._table.action_to(0)
            self._table.move_to(sought)
            self._say()

    def _failed(self, folder: Path, error: TuillmError) -> None:
        if folder == self._folder and self.is_mounted:
            self._table.show([])
            self._say(str(error))

    def _say(self, problem: str = "") -> None:
        """Say below the table what is marked, or why it is empty."""
        note, number = self.query_one(".note", Static), len(self._marked)
        marked = f"{number} marked: t takes {'them' if number > 1 else 'it'}" if number else ""
        empty = "nothing matches" if self._table.filled else "nothing is in here"
        note.update(problem or marked or ("" if self._table.rows else empty))
        note.set_class(bool(problem), "-error")

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self._table.filter(event.text)
        self._say()

    @on(FilterLine.Left)
    def _left(self) -> None:
        self._table.focus()

    # keys

    @on(EntryTable.Chosen)
    def _chosen(self, event: EntryTable.Chosen) -> None:
        if event.entry.is_folder:
            self.action_open()
        else:
            self.action_take()

    def action_open(self) -> None:
        entry = self._table.current
        if entry and entry.is_folder:
            self._go(entry.path, "")

    def action_up(self) -> None:
        self._go(self._folder.parent, str(self._folder))

    def action_home(self) -> None:
        self._go(Path(os.path.expanduser("~")), "")

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_mark(self) -> None:
        if entry := self._table.current:
            key = str(entry.path)
            if key in self._marked:
                del self._marked[key]
            else:
                self._marked[key] = None
            self._table.toggle_mark()
            self._say()

    def action_take(self) -> None:
        """Give what is marked, else what is under the cursor."""
        if self._marked:
            self.dismiss([Path(each) for each in self._marked])
        elif entry := self._table.current:
            self.dismiss([entry.path])

    def action_take_here(self) -> None:
        self.dismiss([self._folder])

    def action_cancel(self) -> None:
        """Show all names again, else leave."""
        if self.query_one(FilterLine).value:
            self.query_one(FilterLine).action_close()
        else:
            self.dismiss(None)


def _entries(folder: Path) -> list[FileEntry]:
    """Return what is in a folder but for what is hidden; raises TuillmError."""
    try:
        with os.scandir(folder) as found:
            return [_entry(folder, each) for each in found if not each.name.startswith(".")]
    except OSError as error:
        raise TuillmError(f"cannot look into {folder}: {error.strerror}") from None


def _entry(folder: Path, found: "os.DirEntry[str]") -> FileEntry:
    path = folder / found.name
    try:
        told = found.stat()
    except OSError:  # a link that leads nowhere
        return FileEntry(path, NO_TEXT)
    if stat.S_ISDIR(told.st_mode):
        return FileEntry(path, _FOLDER)
    if not stat.S_ISREG(told.st_mode):
        return FileEntry(path, NO_TEXT)
    return FileEntry(path, kind_by_name(found.name), told.st_size)
