"""The screen of the conversations with a model, or with all: read, go on with, export, delete them.

Knows kept conversations and their trees; opens no model.
"""

from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType

from tuillm.chat.conversation.export_text import export_markdown
from tuillm.chat.conversation.speaker_turns import speaker_turns
from tuillm.chat.conversation.tree import Tree
from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.open_chat import open_chat
from tuillm.dashboard.screens.ask_screen import AskScreen
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.table_screen import TableScreen
from tuillm.dashboard.widgets.columns import Column
from tuillm.dashboard.widgets.details import Details, Part
from tuillm.dashboard.widgets.fact_table import facts
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.errors import TuillmError
from tuillm.store.files import write_new
from tuillm.store.sessions import SessionHead, list_sessions, load_session, remove_session
from tuillm.units import age
from tuillm.user_paths import current_folder, user_path

_EMPTY = """\
No conversations yet.

Press  escape  to go back, then  c  to talk to a model: what is said is kept here."""
_STYLES = {"you": "bold", "model": "", "system": "italic"}
_SHOWN = 6000  # characters of a long conversation, its end

COLUMNS = [
    Column[SessionHead]("title", "conversation", lambda h: h.label or "(nothing said)"),
    Column[SessionHead](
        "model",
        "model",
        lambda h: h.model,
        lambda h: h.model.casefold(),
        rank=3,
        role=lambda h: "muted",
    ),
    Column[SessionHead]("texts", "texts", lambda h: str(h.nodes), lambda h: h.nodes, True, rank=2),
    Column[SessionHead](
        "age",
        "last",
        lambda h: age(h.updated),
        lambda h: -h.updated,
        rank=4,
        role=lambda h: "muted",
    ),
]


class Conversation(Details[SessionHead]):
    """What was said, the end of it first in view."""

    HELP = "The conversation as it stands: your words in bold. Arrows scroll."

    def title(self, entry: SessionHead) -> str:
        return entry.label or entry.id

    def parts(self, entry: SessionHead, colors: dict[str, str]) -> list[Part]:
        head: list[Part] = [facts([("model", entry.model), ("id", entry.id)], colors)]
        try:
            tree = Tree.from_json(load_session(entry.id).tree)
        except TuillmError as error:
            return [*head, Text(str(error), colors["error"])]
        path, said = tree.path(tree.head), Text()
        if entry.mode == "chat":
            for turn in speaker_turns(path):
                mark = "› " if turn.who == "you" else ""
                space = "\n\n" if turn.who == "model" else "\n"
                said.append(f"{mark}{turn.text}", _STYLES[turn.who]).append(space)
        else:
            for node in path:
                end = "\n" if node.who == "system" else ""
                said.append(node.text + end, _STYLES[node.who])
        return [*head, said[-_SHOWN:]]


class ConversationsScreen(AskScreen, TableScreen[SessionHead]):
    """The conversations with one model; `a` shows those with all of them."""

    ROWS_OPEN_CHATS = True
    NAV = "models"
    TITLE_WORDS = "conversations"
    CURVE = False
    COLUMNS = COLUMNS
    EMPTY = _EMPTY
    HELP = "Conversations are kept as they are spoken. Enter goes on with one where it stopped."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="conversations.back"),
        Binding("c", "go_on", "Go on", id="conversations.go_on"),
        Binding("e", "export", "Export", id="conversations.export"),
        Binding("d,delete", "remove", "Delete", id="conversations.remove"),
        Binding("a", "all", "Of this model, or all", id="conversations.all"),
    ]

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model, self._all = model, not model

    def key(self, entry: SessionHead) -> str:
        return entry.id

    def details(self) -> Conversation:
        return Conversation()

    def on_mount(self) -> None:
        self._read()

    def models_changed(self) -> None:
        """A chat that was left has added to them."""
        self._read()

    def _read(self) -> None:
        model = None if self._all else self._model

        def read() -> None:
            """In a thread: look at the first line of each file."""
            self.app.call_from_thread(self._show, list_sessions(model))

        run_in_background(self, read, group="conversations", exclusive=True, repeated=True)

    def _show(self, heads: list[SessionHead]) -> None:
        if self.is_attached:
            self.show(heads)

    @on(EntryTable.Chosen)
    def _chosen(self) -> None:
        self.action_go_on()

    # keys

    def action_back(self) -> None:
        self.dismiss()

    def action_all(self) -> None:
        if self._model:
            self._all = not self._all
            self._read()

    def action_go_on(self) -> None:
        """Talk on, with the model that the conversation was with."""
        if (head := self.current) is None:
            return
        if head.problem:
            self.dashboard.show_error(TuillmError(head.problem))
            return
        open_chat(self.dashboard, head.model, go_on=head.id)
        self._read()

    def action_export(self) -> None:
        if head := self.current:
            self.ask(
                "Export the conversation to the Markdown file",
                str(current_folder() / f"{head.id}.md"),
                user_path,
                lambda path: (partial(_export, head, user_path(path)), f"exported to {path}"),
            )

    def action_remove(self) -> None:
        if (head := self.current) is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.run_in_thread(
                    partial(remove_session, head.id), f"deleted {head.id}", self._read
                )

        question = f"{head.label or head.id}: {head.nodes} texts with {head.model}."
        self.app.push_screen(Confirm("Delete the conversation?", question, "Delete"), answered)


def _export(head: SessionHead, path: Path) -> None:
    tree = Tree.from_json(load_session(head.id).tree)
    text = export_markdown(tree, head.model, turns=head.mode == "chat")
    if not write_new(path, text.encode()):
        raise TuillmError(f"{path} is there already", "name another file")
