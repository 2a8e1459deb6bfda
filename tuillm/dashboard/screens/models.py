"""The screen of the models: what there is, what is known about it, and what to do with it.

It is the first that a person sees: the store is imported where it is used, after the first frame.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tuillm.dashboard.open_chat import open_chat
from tuillm.dashboard.pull_actions import begin, check, going
from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.dashboard.screens.table_screen import TableScreen
from tuillm.dashboard.widgets.model_details import ModelDetails
from tuillm.dashboard.widgets.pull_lines import PullLines
from tuillm.dashboard.widgets.table import Column, EntryTable
from tuillm.errors import TuillmError
from tuillm.store.entry_names import check_name
from tuillm.units import age, count, figure, size
from tuillm.user_paths import current_folder, user_path

if TYPE_CHECKING:
    from tuillm.store.registry import Model

_NEED_A_MODEL = ("chat", "filter", "rename", "remove", "copy", "export", "train_from", "details")
_EMPTY = """\
No models yet.

Press  t  to grow one on a text of your own,
or     d  to watch one learn the book that comes with tuillm, in a minute or two,
or     P  to fetch GPT-2 from the Hugging Face hub."""


def _quality(model: "Model") -> str:
    return figure(model.card.bits_per_byte) + ("" if model.card.held_out else "*")


def _context(model: "Model") -> int | None:
    length = model.config.get("n_positions")
    return length if isinstance(length, int) else None


def _export(name: str, path: str) -> None:
    from tuillm.store.export_folder import export_model

    export_model(name, user_path(path))


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
        "tokens",
        lambda m: m.card.tokenizer or "-",
        lambda m: m.card.tokenizer,
        rank=5,
        role=lambda m: "muted",
    ),
    Column(
        "context",
        "context",
        lambda m: str(m.config.get("n_positions", "-")),
        _context,
        True,
        rank=3,
    ),
    Column(
        "loss",
        "val loss",
        lambda m: figure(m.card.val_loss),
        lambda m: m.card.val_loss,
        True,
        rank=2,
    ),
    Column(
        "quality",
        "bits/byte",
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


class ModelsScreen(TableScreen["Model"]):
    """The table of the registry and the details of the model under its cursor."""

    NAV = "models"
    COLUMNS = COLUMNS
    EMPTY = _EMPTY
    HELP = (
        "All models of your registry. Type / to filter; s orders by the next column. "
        "bits/byte compares across tokenizers: lower is better; * is measured on the text "
        "the model learned by heart."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "chat", "Chat", id="models.chat"),
        Binding("slash", "filter", "Filter", id="list.filter", key_display="/"),
        Binding("r", "rename", "Rename", id="models.rename", show=False),
        Binding("d,delete", "remove", "Delete", id="models.remove"),
        Binding("y", "copy", "Copy under another name", id="models.copy", show=False),
        Binding("e", "export", "Export to a folder", id="models.export", show=False),
        Binding("t", "train", "Train", id="models.train"),
        Binding("f", "train_from", "Train from this model", id="models.train_from", show=False),
        Binding("d", "demo", "Grow the demo model", id="models.demo"),
        Binding("P", "pull", "Pull from the hub, or go on", id="models.pull", show=False),
        Binding(
            "X", "stop_pull", "Stop a pull, or throw it away", id="models.stop_pull", show=False
        ),
        Binding("b", "benchmarks", "Benchmarks of this machine", id="models.bench", show=False),
    ]

    def key(self, entry: "Model") -> str:
        return entry.name

    def details(self) -> ModelDetails:
        return ModelDetails()

    def below(self) -> ComposeResult:
        yield PullLines()

    def on_mount(self) -> None:
        self.dashboard.pulls_changed.subscribe(self, self._pulls_changed)
        self._pulls_changed(None)

    def _ask(
        self,
        title: str,
        value: str,
        check: Callable[[str], object] | None,
        action: Callable[[str], tuple[Callable[[], object], str]],
    ) -> None:
        """Ask for a line of text; `action` makes of it what to do, and what to say then."""

        def answered(text: str | None) -> None:
            if text:
                self.dashboard.run_in_thread(*action(text))

        self.app.push_screen(Ask(title, value, check=check), answered)

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
        return some or action not in _NEED_A_MODEL

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

    def action_rename(self) -> None:
        from tuillm.store import registry

        if model := self.current:
            old = model.name
            self._ask(
                f"A new name for {old}",
                old,
                check_name,
                lambda new: (partial(registry.rename_model, old, new), f"{old} is now {new}"),
            )

    def action_copy(self) -> None:
        from tuillm.store import registry

        if model := self.current:
            source = model.name
            self._ask(
                f"Copy {source} as",
                registry.free_name(source),
                check_name,
                lambda new: (
                    partial(registry.copy_model, source, new),
                    f"copied {source} to {new}",
                ),
            )

    def action_export(self) -> None:
        if model := self.current:
            name, target = model.name, current_folder() / model.name
            self._ask(
                f"Export {name} to the folder",
                str(target),
                user_path,
                lambda path: (
                    partial(_export, name, path),
                    f"exported to {path}: transformers loads it as it is",
                ),
            )

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

    def action_pull(self) -> None:
        """Ask for a name of the hub; one whose pull stands still is proposed."""
        at_work = going(self.dashboard.pulls)
        left = [
            str(pull.source) for pull in self.dashboard.pulls if pull.repo and pull not in at_work
        ]
        title = "Pull from the Hugging Face hub"
        note = "gpt2, gpt2-medium, gpt2-large, gpt2-xl, or ORG/NAME of a GPT-2 there"

        def answered(text: str | None) -> None:
            if text:
                self.dashboard.run_in_thread(partial(begin, text))

        self.app.push_screen(Ask(title, (left or ["gpt2"])[0], check=check, note=note), answered)

    def action_stop_pull(self) -> None:
        """Stop the pull that goes on, or throw away what is left of one that does not."""
        from tuillm.store.hub.pull_folder import cancel_pull, discard_pull

        at_work = going(self.dashboard.pulls)
        pull = (at_work or self.dashboard.pulls)[0]
        name = pull.name
        if not at_work and not pull.done:
            self.dashboard.run_in_thread(partial(discard_pull, name))
        elif not at_work:
            question = Confirm(
                f"Throw away what has come of {name}?",
                f"{size(pull.done)} of {size(pull.total)}",
                "Throw away",
            )
            self.app.push_screen(
                question,
                lambda yes: (
                    self.dashboard.run_in_thread(
                        partial(discard_pull, name), f"threw away what had come of {name}"
                    )
                    if yes
                    else None
                ),
            )
        elif len(at_work) == 1:
            self.dashboard.run_in_thread(
                partial(cancel_pull, name), f"stopping the pull of {name}; what has come is kept"
            )
        else:
            self._ask(
                "Stop the pull of",
                name,
                check_name,
                lambda typed: (partial(cancel_pull, typed), f"stopping the pull of {typed}"),
            )

    def action_train(self) -> None:
        self.dashboard.train_from("")

    def action_train_from(self) -> None:
        if model := self.current:
            self.dashboard.train_from(model.name)

    def action_demo(self) -> None:
        from tuillm.store.demo_run import demo_config

        self.dashboard.start(demo_config())
