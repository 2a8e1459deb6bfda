"""One setting as a row of the form: its name, what can be typed or chosen, and its sentence.

Made from the declaration alone; checks as one types and says the range in words.
"""

from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label, Select, Static

from tuillm.config import Setting, TrainConfig
from tuillm.config.check_setting import check_setting
from tuillm.config.fields import with_escapes
from tuillm.dashboard.glossary import Meaning
from tuillm.dashboard.path_input import dropped_paths, join_paths, split_paths
from tuillm.dashboard.setting_labels import label_of
from tuillm.errors import UsageError

Chosen = Select[str]


class SettingField(Vertical):
    """A row of the form. Empty means: not typed, so that preset or default decides."""

    # whether its input is there, from which on it can be asked
    ready = False

    @dataclass
    class Changed(Message):
        """The person typed or chose something."""

        field: "SettingField"

    def __init__(
        self,
        setting: Setting,
        *,
        choices: list[tuple[str, str]] | None = None,
        suggester: Suggester | None = None,
    ) -> None:
        """`choices` are (label, value) pairs where the declaration itself has none."""
        super().__init__(id=f"field-{setting.name}")
        self.setting = setting
        self._choices = choices
        if choices is None and setting.choices and not setting.several:
            self._choices = [(choice, choice) for choice in setting.choices]
        elif choices is None and setting.type is bool:
            self._choices = [("yes", "yes"), ("no", "no")]
        self._suggester = suggester
        self.problem = self._usual = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label(label_of(self.setting.name), markup=False)
            if self._choices is not None:
                yield Select(self._choices, prompt="", compact=True)
            else:
                # a path typed or dropped is added to the text there is, never put in its place
                yield PathInput(
                    compact=True,
                    suggester=self._suggester,
                    name=self.setting.name,
                    select_on_focus=self.setting.name != "corpus",
                )
        yield Static(classes="about", markup=False)

    def on_mount(self) -> None:
        self.ready = True
        self._say()

    # what the form asks and says

    @property
    def typed(self) -> object:
        """What was typed, as the config takes it; None when nothing was.

        What the setting cannot be stays the text it is.
        """
        value = self._typed_text
        if value is None:
            return None
        try:
            return check_setting(TrainConfig, self.setting.name, value)
        except UsageError:
            return value

    @property
    def _typed_text(self) -> object:
        text = self.text.strip()
        if not text:
            return None
        if self.setting.type is bool:
            return text == "yes"
        if self.setting.name == "corpus":
            return split_paths(text)
        return with_escapes(self.text) if self.setting.escapes else text

    @property
    def text(self) -> str:
        """What stands in the input; '' for nothing."""
        if self._choices is not None:
            value = self.query_one(Select).value
            return value if isinstance(value, str) else ""
        return self.query_one(Input).value

    @property
    def meaning(self) -> Meaning:
        """What the setting does, what it may be, and what it is now."""
        setting = self.setting
        allowed = " | ".join(setting.choices) if setting.choices else setting.range
        words = setting.help[:1].upper() + setting.help[1:] + "."
        if allowed:
            words += f" Allowed: {allowed}."
        words += f" Its name in files: {setting.name}."
        return Meaning(label_of(setting.name), self.text or self._usual, words)

    def matches(self, words: list[str]) -> bool:
        """Whether all of these words stand in its names and its sentence."""
        setting = self.setting
        text = f"{setting.name} {label_of(setting.name)} {setting.help}".casefold()
        return all(word in text for word in words)

    def text_for(self, value: object) -> str:
        """Return what would have to be typed for a value."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple | list):
            parts = [str(each) for each in value]
            return join_paths(parts) if self.setting.name == "corpus" else ",".join(parts)
        if isinstance(value, str) and self.setting.escapes:
            return value.encode("unicode_escape").decode("ascii")
        return f"{value:.10g}" if isinstance(value, float) else str(value)

    def fill(self, text: str) -> None:
        """Put a text in, as if it was typed; '' takes it out again."""
        if self._choices is not None:
            known = any(value == text for _, value in self._choices)
            select = self.query_one(Select)
            if known:
                select.value = text
            else:
                select.clear()
        else:
            self.query_one(Input).value = text

    def offer(self, choices: list[tuple[str, str]]) -> None:
        """Replace the choices; the chosen one stays where it is still among them."""
        text, self._choices = self.text, choices
        with self.prevent(Select.Changed):
            self.query_one(Select).set_options(choices)
            self.fill(text)

    def usual(self, words: str) -> None:
        """Say what holds when nothing is typed."""
        self._usual = words
        if self._choices is not None:
            self.query_one(Select).prompt = words
        else:
            self.query_one(Input).placeholder = words

    def check(self) -> bool:
        """Check what is typed, show what is wrong with it, and return whether it is fine."""
        value = self._typed_text
        self.problem = ""
        if value is not None:
            try:
                check_setting(TrainConfig, self.setting.name, value)
            except UsageError as error:
                self.problem = str(error)
        self._say()
        return not self.problem

    # events

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self, event: Message) -> None:
        event.stop()
        self.check()
        self.post_message(self.Changed(self))

    def on_descendant_focus(self) -> None:
        self._say(focused=True)

    def on_descendant_blur(self) -> None:
        self._say()

    def _say(self, focused: bool = False) -> None:
        about = self.query_one(".about", Static)
        setting = self.setting
        allowed = " | ".join(setting.choices) if setting.several else setting.range
        limits = f" [{allowed}]" if allowed and focused else ""
        about.update(self.problem or f"{setting.help}{limits} · {setting.name}")
        about.set_class(bool(self.problem), "-error")


class PathInput(Input):
    """An input that understands files dropped on a terminal, which arrive as a paste."""

    def _on_paste(self, event: events.Paste) -> None:
        if self.name == "corpus" and (text := dropped_paths(event.text)):
            event.prevent_default()  # else Input's own handler takes it too
            event.stop()
            self.value = f"{self.value} {text}".strip()
            self.cursor_position = len(self.value)
