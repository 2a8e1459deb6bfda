"""The form of a run: a field for every training setting, the rare ones folded away.

Made from the declaration of the settings; knows the presets and the names of the models.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.markup import escape
from textual.message import Message
from textual.widgets import Collapsible, Input, Static

from tuillm.config import PRESETS, Setting, TrainConfig, build_train, settings_of
from tuillm.dashboard.path_input import PathSuggester
from tuillm.dashboard.widgets.field import SettingField
from tuillm.dashboard.widgets.found_field import FoundField
from tuillm.dashboard.widgets.preset_field import PresetField
from tuillm.errors import TuillmError, UsageError, one_line
from tuillm.store.registry import shape_of
from tuillm.store.workers.corpus_preview import Preview
from tuillm.store.workers.forecast_process import PresetEstimate

# what is asked of every person, and the settings that answer it
_QUESTIONS = (
    ("Which text?", ("corpus",)),
    ("From nothing, or from which model?", ("init_from",)),
    ("How long, how good?", ("preset",)),
)
_BELOW = ("name", "tokenizer")
FIRST = (*(name for _, names in _QUESTIONS for name in names), *_BELOW)
# what a person decides of every run
_ASKED = ("corpus", "init_from", "preset")
# settings that name a field of the records, with what a preview calls their choice
_FOUND = {
    "text_field": "text",
    "question_field": "question",
    "answer_field": "answer",
    "context_field": "context",
}
_TITLES = {
    "text": "The text",
    "model": "The shape of the model",
    "fine-tuning": "Fine-tuning with LoRA",
    "optimizer": "How it learns",
    "run": "How long, where, and what to watch",
}


class Group(Collapsible):
    """Settings that are folded away; comes into view when it is unfolded, but not when all are."""

    def __init__(self, settings: Sequence[Setting], title: str, id: str) -> None:
        title = f"{title} · {len(settings)}"
        super().__init__(title=title, collapsed=True, id=id)
        self.settings = settings
        self._usual_title, self._facts = title, ""

    async def add(self, field: SettingField) -> bool:
        """Put a field below those that are there; False where the form is being taken away."""
        for contents in self.query(Collapsible.Contents):
            if contents.is_attached:
                await contents.mount(field)
                return True
        return False

    def tell(self, facts: str) -> None:
        """Say in the title what was found out about these settings."""
        self._facts = facts
        self.count_changed()

    def count_changed(self) -> None:
        """Say in the title how many are changed."""
        changed = sum(field.typed is not None for field in self.query(SettingField) if field.ready)
        parts = (self._usual_title, f"{changed} changed" if changed else "", self._facts)
        self.title = escape(" · ".join(filter(None, parts)))

    def search(self, words: list[str]) -> bool:
        """Show the settings whose names or sentences have all these words; whether there are any.

        Without words all are shown, and the group is folded.
        """
        found = False
        for field in self.query(SettingField):
            field.display = field.matches(words)
            found |= field.display
        self.display = found
        self.collapsed = not words
        return found

    def scroll_visible(self, *arguments: Any, **options: Any) -> None:
        if self.has_focus_within:
            super().scroll_visible(*arguments, **options)


class SearchLine(Input):
    """Finds settings among all of them; Escape shows all groups again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "All settings again", id="search.clear", show=False)
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="search all settings", compact=True, id="search")

    def action_clear(self) -> None:
        """Take out what was typed, or leave where nothing was."""
        if self.value:
            self.value = ""
        else:
            self.screen.set_focus(None)


class TrainForm(VerticalScroll, can_focus=False, inherit_bindings=False):
    """All settings of a run; `config()` makes a TrainConfig of what was typed."""

    # without those it would inherit: the arrows go from field to field, see TrainScreen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page_down", "Page down", id="form.page_down", show=False),
        Binding("pageup", "page_up", "Page up", id="form.page_up", show=False),
    ]

    @dataclass
    class Changed(Message):
        """A field has changed; what is typed may be wrong."""

        form: "TrainForm"

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, TrainForm.Changed)

    def compose(self) -> ComposeResult:
        settings = {setting.name: setting for setting in settings_of(TrainConfig)}
        for number, (question, names) in enumerate(_QUESTIONS, 1):
            yield Static(f"{number}  {question}", classes="question")
            yield from (self._field(settings[name]) for name in names)
        yield Static("Name and tokenizer", classes="question")
        yield from (self._field(settings[name]) for name in _BELOW)
        yield SearchLine()
        for group, title in _TITLES.items():
            rest = [
                setting
                for setting in settings.values()
                if setting.group == group and setting.name not in FIRST
            ]
            yield Group(rest, title, f"group-{group}")

    _preview: Preview | None = None
    # whether all fields are there, and what waits for them
    _whole = False

    def on_mount(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._say_usual()
        self.call_after_refresh(self.run_worker, self._mount_rest(), group="fields")

    async def _mount_rest(self) -> None:
        """Mount the folded fields one by one, so that keys and frames come in between."""
        for group in self.query(Group):
            for setting in group.settings:
                while not group.is_mounted and self.is_attached:
                    await asyncio.sleep(0)
                if not await group.add(self._field(setting)):
                    return
                await asyncio.sleep(0)
        self._whole = True
        self._say_usual()
        for action in self._waiting:
            action()

    # what the screen asks and says

    @property
    def whole(self) -> bool:
        """Whether all fields are there: those that are folded away come after the first frame."""
        return self._whole

    def when_whole(self, action: Callable[[], None]) -> None:
        """Do something as soon as all fields are there."""
        if self._whole:
            action()
        else:
            self._waiting.append(action)

    @property
    def fields(self) -> list[SettingField]:
        """The fields that are there by now."""
        return [field for field in self.query(SettingField) if field.ready]

    @property
    def typed(self) -> dict[str, object]:
        """What was typed, by name of the setting."""
        values = {field.setting.name: field.typed for field in self.fields}
        return {name: value for name, value in values.items() if value is not None}

    def config(self) -> TrainConfig:
        """Return the settings of the run; raises UsageError for what does not fit."""
        for field in self.fields:
            if field.problem:
                raise UsageError(field.problem)
        return build_train(self.typed, shape_of=shape_of)

    def offer_models(self, names: list[str]) -> None:
        """Offer these models to start from."""
        self["init_from"].offer([(name, name) for name in names])

    def show_preview(self, preview: Preview | None) -> None:
        """Offer the fields that a look at the corpus has found, and say which of them are taken."""
        if preview != self._preview:
            self._preview = preview
            self.when_whole(self._offer_found)

    def _offer_found(self) -> None:
        preview = self._preview
        fields, chosen = (preview.fields, preview.chosen) if preview else ((), {})
        for name, role in _FOUND.items():
            field = self[name]
            assert isinstance(field, FoundField)
            field.offer_found(fields, chosen.get(role, field.setting.unset))
        group = self.query_one("#group-text", Group)
        group.tell(one_line(preview.words) if preview and fields else "")
        self._say_usual()

    def show_estimates(self, estimates: Sequence[PresetEstimate]) -> None:
        """Show about what each preset takes."""
        self.query_one(PresetField).estimated(estimates)

    def fill_from(self, config: TrainConfig) -> None:
        """Fill in the settings of a run: text, parent, preset, and what its preset does not say."""
        self.when_whole(partial(self._fill_from, config))

    def _fill_from(self, config: TrainConfig) -> None:
        recipe = PRESETS[config.preset].settings if config.preset in PRESETS else {}
        for field in self.query(SettingField):
            setting = field.setting
            value = getattr(config, setting.name)
            usual = recipe.get(setting.name, setting.default)
            chosen = setting.name in _ASKED or value != usual
            field.fill(field.text_for(value) if chosen and value is not None else "")

    def clear(self) -> None:
        """Take out everything typed."""
        for field in self.fields:
            field.fill("")

    def __getitem__(self, name: str) -> SettingField:
        return self.query_one(f"#field-{name}", SettingField)

    # events

    @on(SettingField.Changed)
    def _changed(self, event: SettingField.Changed) -> None:
        event.stop()
        if event.field.setting.name in ("preset", "init_from", "lora"):
            self._say_usual()
        for group in self.query(Group):
            group.count_changed()
        if event.field.setting.name == "corpus":
            self.show_preview(None)  # until another one comes
        self.post_message(self.Changed(self))

    @on(SearchLine.Changed)
    def _searched(self, event: SearchLine.Changed) -> None:
        event.stop()
        self.when_whole(partial(self._search, event.value.casefold().split()))

    def _search(self, words: list[str]) -> None:
        found = [group.search(words) for group in self.query(Group)]
        line = self.query_one(SearchLine)
        line.set_class(not any(found), "-nothing")
        if words:  # what was found stands below it
            self.call_after_refresh(line.scroll_visible, top=True, animate=False)

    def _say_usual(self) -> None:
        """Show in each empty field what holds when it stays empty."""
        preset = self["preset"].text or ("finetune" if self["init_from"].text else "tiny")
        recipe = PRESETS[preset].settings
        usual = {setting.name: setting.default for setting in settings_of(TrainConfig)} | recipe
        try:
            usual |= self.config().model_dump()
        except TuillmError:
            pass  # some field is wrong now: the preset's own values are the best guess
        for field in self.fields:
            name = field.setting.name
            if name == "corpus":
                words = "type a path, drop a file, or Ctrl-O"
            elif name == "preset":
                words = preset
            elif name == "name":
                words = "the name of the text"
            elif name == "init_from":
                words = "from scratch"
            elif isinstance(value := usual.get(name), tuple) and value:
                words = field.text_for(value)
            else:
                words = field.setting.words(value).strip("'")
            field.usual(self._found_words(name) or words)

    def _found_words(self, name: str) -> str:
        """What `auto` becomes for the corpus that was looked at, '' where it does not tell."""
        seen = self._preview
        if seen is None or not seen.fields:
            return ""
        if name == "format":
            return f"auto: {one_line(seen.words)}" if seen.format else ""
        found = seen.chosen.get(_FOUND.get(name, ""), "")
        return f"auto: {one_line(found)}" if found else ""

    def _field(self, setting: Setting) -> SettingField:
        if setting.name == "preset":
            return PresetField(setting)
        if setting.name == "init_from":
            return SettingField(setting, choices=[])
        if setting.name in _FOUND:
            return FoundField(setting)
        return SettingField(
            setting, suggester=PathSuggester() if setting.name == "corpus" else None
        )
