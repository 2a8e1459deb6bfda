"""The screen of the models: what there is, what is known about it, and what to do with it.

It is the first that a person sees: the store is imported where it is used, after the first frame.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tuillm.dashboard.open_chat import open_chat
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.pulls import PullsScreen
from tuillm.dashboard.screens.table_screen import TableScreen
from tuillm.dashboard.widgets.columns import Column
from tuillm.dashboard.widgets.model_details import ModelDetails
from tuillm.dashboard.widgets.pull_lines import PullLines
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.errors import TuillmError
from tuillm.store.entry_names import check_name
from tuillm.units import age, count, figure, size
from tuillm.user_paths import current_folder

if TYPE_CHECKING:
    from tuillm.dashboard.glossary import Meaning
    from tuillm.store.registry import Model
    from tuillm.store.run_folder import Run

_NEED_A_MODEL = ("chat", "filter", "rename", "remove", "copy", "export", "train_from", "details")
_EMPTY = """\
No models yet.

Press  t  to grow one on a text of your own,
or     d  to watch one learn the book that comes with tuillm, in a minute or two,
or     P  to fetch a small open model from the Hugging Face hub."""


def _quality(model: "Model") -> str:
    return figure(model.card.bits_per_byte) + ("" if model.card.held_out else "*")


def _context(model: "Model") -> int | None:
    return model.shape.block_size if model.shape else None


COLUMNS: list["Column[Model]"] = [
    Column(
        "name",
        "name",
        lambda m: m.name,
        lambda m: m.name.casefold(),
        role=lambda m: "error" if m.problem else "",
    ),
    Column(
        "origin",
        "origin",
        lambda m: "damaged" if m.problem else m.card.origin,
        lambda m: m.card.origin,
        rank=4,
        role=lambda m: "error" if m.problem else "muted",
    ),
    Column(
        "parameters",
        "params",
        lambda m: count(m.card.parameters),
        lambda m: m.card.parameters,
        True,
        rank=8,
    ),
    Column("size", "size", lambda m: size(m.size), lambda m: m.size, True, rank=6),
    Column(
        "tokenizer",
        "tokenizer",
        lambda m: m.card.tokenizer or "-",
        lambda m: m.card.tokenizer,
        rank=5,
        role=lambda m: "muted",
    ),
    Column("context", "context", lambda m: str(_context(m) or "-"), _context, True, rank=3),
    Column(
        "loss",
        "validation loss",
        lambda m: figure(m.card.val_loss),
        lambda m: m.card.val_loss,
        True,
        rank=2,
    ),
    Column(
        "quality",
        "bits per byte",
        _quality,
        lambda m: m.card.bits_per_byte,
        True,
        rank=9,
        role=lambda m: "accent",
    ),
    Column(
        "parent",
        "parent",
        lambda m: m.card.parent or "-",
        lambda m: m.card.parent,
        rank=1,
        role=lambda m: "muted",
    ),
    Column(
        "age",
        "made",
        lambda m: age(m.card.created),
        lambda m: -m.card.created if m.card.created else None,
        rank=7,
        role=lambda m: "muted",
    ),
]


class ModelsScreen(PullsScreen, TableScreen["Model"]):
    """The table of the registry and the details of the model under its cursor."""

    ROWS_OPEN_CHATS = True
    NAV = "models"
    COLUMNS = COLUMNS
    EMPTY = _EMPTY
    HELP = (
        "All models of your registry. Type / to filter; s orders by the next column. "
        "bits per byte compares across tokenizers: lower is better; * is measured on the text "
        "the model learned by heart."
    )
    WIDE_KEYS = frozenset({"filter"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "chat", "Chat", id="models.chat"),
        Binding("v", "conversations", "Past chats", id="models.conversations"),
        Binding("slash", "filter", "Filter", id="list.filter", key_display="/"),
        Binding("t", "train", "Train", id="models.train"),
        Binding("r", "rename", "Rename", id="models.rename"),
        Binding("y", "copy", "Copy", id="models.copy"),
        Binding("e", "export", "Export", id="models.export"),
        Binding("d,delete", "remove", "Delete", id="models.remove"),
        Binding("f", "train_from", "Train from this model", id="models.train_from", show=False),
        Binding("d", "demo", "Grow the demo model", id="models.demo"),
        Binding("b", "benchmarks", "Benchmarks of this machine", id="models.bench", show=False),
    ]

    def key(self, entry: "Model") -> str:
        return entry.name

    def details(self) -> ModelDetails:
        return ModelDetails()

    def run_of(self, entry: "Model") -> "tuple[Run, bool] | None":
        from tuillm.store.run_folder import get_run

        if not entry.card.run:
            return None
        try:
            return get_run(entry.card.run), entry.card.held_out
        except TuillmError:  # it was deleted
            return None

    def below(self) -> ComposeResult:
        yield PullLines()

    def explains(self) -> bool:
        return self.is_mounted and self.current is not None

    def meanings(self) -> "tuple[str, list[Meaning]]":
        from tuillm.dashboard.glossary import judged_bits, judged_loss, meaning

        if (model := self.current) is None:
            return "", []
        card = model.card
        bits = judged_bits(card.bits_per_byte, held_out=card.held_out)
        return model.name, [
            meaning("bits per byte", _quality(model), judged=bits),
            meaning("validation loss", figure(card.val_loss), judged=judged_loss(card.val_loss)),
            meaning("parameters", count(card.parameters)),
            meaning("context", str(_context(model) or "-")),
            meaning("tokenizer", card.tokenizer or "-"),
            meaning("origin", card.origin),
        ]

    def on_mount(self) -> None:
        self.dashboard.pulls_changed.subscribe(self, self._pulls_changed)
        self._pulls_changed(None)

    # what the app tells

    def models_changed(self) -> None:
        self.show(self.dashboard.models)

    def _pulls_changed(self, _: object) -> None:
        self.query_one(PullLines).show(self.dashboard.pulls)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """With an empty registry only the two ways to a first model are offered."""
        some = bool(self.dashboard.models)
        if action == "demo":
            return not some
        if action == "stop_pull":
            return bool(self.dashboard.pulls)
        allowed = some or action not in _NEED_A_MODEL
        return allowed and super().check_action(action, parameters)

    @on(EntryTable.Chosen)
    def _chosen(self) -> None:
        self.action_chat()

    # keys

    def action_chat(self) -> None:
        model = self.current
        if model and model.problem:
            self.dashboard.show_error(
                TuillmError(f"{model.name!r} cannot be used: {model.problem}")
            )
        elif model:
            open_chat(self.dashboard, model.name)

    def action_conversations(self) -> None:
        """Show what was said with the model under the cursor."""
        from tuillm.dashboard.screens.conversations import ConversationsScreen

        self.app.push_screen(ConversationsScreen(self.current.name if self.current else ""))

    def action_rename(self) -> None:
        from tuillm.store import registry

        if model := self.current:
            old = model.name
            self.ask(
                f"A new name for {old}",
                old,
                check_name,
                lambda new: (partial(registry.rename_model, old, new), f"{old} is now {new}"),
            )

    def action_copy(self) -> None:
        from tuillm.store import registry

        if model := self.current:
            source = model.name
            self.ask(
                f"Copy {source} as",
                registry.free_name(source),
                check_name,
                lambda new: (
                    partial(registry.copy_model, source, new),
                    f"copied {source} to {new}",
                ),
            )

    def action_export(self) -> None:
        from tuillm.dashboard.export_actions import PUSHED, ExportRequest, export
        from tuillm.dashboard.screens.export_dialog import ExportDialog

        if (model := self.current) is None:
            return
        name = model.name

        def ask(tried: ExportRequest | None = None) -> None:
            self.app.push_screen(ExportDialog(name, current_folder(), tried), answered)

        def begin(wanted: ExportRequest) -> None:
            doing = "pushing" if wanted.format.to == "hub" else "exporting"
            self.dashboard.notify(f"{doing} {name} …")
            self.dashboard.run_in_thread(
                partial(export, name, wanted),
                failed=lambda why: ask(replace(wanted, problem=str(why))),
            )

        def answered(wanted: ExportRequest | None) -> None:
            if wanted and wanted.format.to == "hub":
                question = Confirm(f"Push {name} to {wanted.path}?", PUSHED, "Push")
                self.app.push_screen(question, lambda yes: begin(wanted) if yes else None)
            elif wanted:
                begin(wanted)

        ask()

    def action_remove(self) -> None:
        from tuillm.store import registry

        model = self.current
        if not model:
            return
        name = model.name

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.run_in_thread(
                    partial(registry.remove_model, name), f"removed {name}"
                )

        size_words = size(model.size)
        self.app.push_screen(
            Confirm(f"Delete {name}?", f"{size_words} in {model.path}", "Delete"), answered
        )

    def action_benchmarks(self) -> None:
        from tuillm.dashboard.screens.benchmarks import BenchmarksScreen

        self.app.push_screen(BenchmarksScreen())

    def action_train(self) -> None:
        self.dashboard.train_from("")

    def action_train_from(self) -> None:
        if model := self.current:
            self.dashboard.train_from(model.name)

    def action_demo(self) -> None:
        from tuillm.store.demo_run import demo_config

        self.dashboard.start(demo_config())
