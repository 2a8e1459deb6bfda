"""The place of the models: what there is, what is known about it, and what to do with it.

It is the first that a person sees: the store is imported where it is used, after the first frame.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from tuillm.dashboard.chat import open_chat
from tuillm.dashboard.screens.ask import Ask, Confirm
from tuillm.dashboard.screens.listing import Listing
from tuillm.dashboard.widgets.model_details import ModelDetails
from tuillm.dashboard.widgets.table import Column, EntryTable
from tuillm.errors import TuillmError
from tuillm.store.names import check_name
from tuillm.units import age, count, figure, size

if TYPE_CHECKING:
    from tuillm.store.models import Model

_NEED_A_MODEL = ("chat", "filter", "rename", "remove", "copy", "export", "train_from", "details")
_EMPTY = """\
No models yet.

Press  t  to grow one on a text of your own,
or     d  to watch one learn the book that comes with tuillm, in two minutes."""


def _quality(model: "Model") -> str:
    return figure(model.card.bits_per_byte) + ("" if model.card.held_out else "*")


def _context(model: "Model") -> int | None:
    length = model.config.get("n_positions")
    return length if isinstance(length, int) else None


COLUMNS: list["Column[Model]"] = [
    Column("name", "name", lambda m: m.name, lambda m: m.name.casefold(),
                  role=lambda m: "error" if m.problem else ""),
    Column("origin", "origin", lambda m: "damaged" if m.problem else m.card.origin,
                  lambda m: m.card.origin, rank=4,
                  role=lambda m: "error" if m.problem else "muted"),
    Column("parameters", "params", lambda m: count(m.card.parameters),
                  lambda m: m.card.parameters, True, rank=8),
    Column("size", "size", lambda m: size(m.size), lambda m: m.size, True, rank=6),
    Column("tokenizer", "tokens", lambda m: m.card.tokenizer or "-",
                  lambda m: m.card.tokenizer, rank=5, role=lambda m: "muted"),
    Column("context", "context", lambda m: str(m.config.get("n_positions", "-")), _context,
                  True, rank=3),
    Column("loss", "val loss", lambda m: figure(m.card.val_loss),
                  lambda m: m.card.val_loss, True, rank=2),
    Column("quality", "bits/byte", _quality, lambda m: m.card.bits_per_byte, True, rank=9,
                  role=lambda m: "accent"),
    Column("parent", "parent", lambda m: m.card.parent or "-",
                  lambda m: m.card.parent, rank=1, role=lambda m: "muted"),
    Column("age", "made", lambda m: age(m.card.created),
                  lambda m: -m.card.created if m.card.created else None, rank=7,
                  role=lambda m: "muted"),
]


class ModelsScreen(Listing["Model"]):
    """The table of the registry and the details of the model under its cursor."""

    PLACE = "models"
    COLUMNS = COLUMNS
    EMPTY = _EMPTY
    HELP = ("All models of your registry. Type / to filter; s orders by the next column. "
            "bits/byte compares across tokenizers: lower is better; * is measured on the text "
            "the model learned by heart.")
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
    ]

    def key(self, entry: "Model") -> str:
        return entry.name

    def details(self) -> ModelDetails:
        return ModelDetails()

    def _ask(
        self, title: str, value: str, check: Callable[[str], object] | None,
        action: Callable[[str], tuple[Callable[[], object], str]],
    ) -> None:
        """Ask for a line of text; `action` makes of it what to do, and what to say then."""

        def answered(text: str | None) -> None:
            if text:
                self.dashboard.attempt(*action(text))

        self.app.push_screen(Ask(title, value, check=check), answered)

    # what the app tells

    def models_changed(self) -> None:
        self.show(self.dashboard.models)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """With an empty registry only the two ways to a first model are offered."""
        some = bool(self.dashboard.models)
        if action == "demo":
            return not some
        return some or action not in _NEED_A_MODEL

    @on(EntryTable.Chosen)
    def _chosen(self) -> None:
        self.action_chat()

    # keys

    def action_chat(self) -> None:
        model = self.current
        if model and model.problem:
            self.dashboard.told(TuillmError(f"{model.name!r} cannot be used: {model.problem}"))
        elif model:
            open_chat(self.dashboard, model.name)

    def action_rename(self) -> None:
        from tuillm.store import models

        if model := self.current:
            old = model.name
            self._ask(f"A new name for {old}", old, check_name, lambda new: (
                partial(models.rename_model, old, new), f"{old} is now {new}"))

    def action_copy(self) -> None:
        from tuillm.store import models

        if model := self.current:
            source = model.name
            self._ask(f"Copy {source} as", models.free_name(source), check_name, lambda new: (
                partial(models.copy_model, source, new), f"copied {source} to {new}"))

    def action_export(self) -> None:
        from tuillm.store import models

        if model := self.current:
            name, place = model.name, Path.cwd() / model.name
            self._ask(f"Export {name} to the folder", str(place), None, lambda path: (
                partial(models.export_model, name, Path(path).expanduser()),
                f"exported to {path}: transformers loads it as it is"))

    def action_remove(self) -> None:
        from tuillm.store import models

        model = self.current
        if not model:
            return
        name = model.name

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.attempt(partial(models.remove_model, name), f"removed {name}")

        size_words = size(model.size)
        self.app.push_screen(
            Confirm(f"Delete {name}?", f"{size_words} in {model.path}", "Delete"), answered)

    def action_train(self) -> None:
        self.dashboard.train_from("")

    def action_train_from(self) -> None:
        if model := self.current:
            self.dashboard.train_from(model.name)

    def action_demo(self) -> None:
        from tuillm.store.demo import demo_config

        self.dashboard.start(demo_config())
