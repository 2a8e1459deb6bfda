"""What Tab offers on the prompt: commands, settings, values and names, each with a few words."""

from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.slash_commands import COMMANDS
from tuillm.chat.error_log import unexpected
from tuillm.config import SamplingConfig, Setting, settings_of
from tuillm.config.sampling_profiles import PROFILES
from tuillm.errors import TuillmError, printable
from tuillm.store.model_sampling import GENERATION_CONFIG, folder_sampling
from tuillm.store.registry import list_models
from tuillm.store.sessions import list_sessions
from tuillm.store.user_profiles import profiles_of
from tuillm.theme import list_themes
from tuillm.units import count
from tuillm.user_paths import path_problem

_Choice = tuple[str, str]
_LISTED = 50


class ChatCompleter(Completer):
    """Completes the word before the cursor of a line that begins with a slash."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        try:
            yield from self._completions(document, complete_event)
        except Exception as error:
            unexpected(error)  # Tab is not worth a word that breaks up the prompt

    def _completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or text.startswith("//") or "\n" in text:
            return
        if text.startswith("/export "):
            typed = text.removeprefix("/export ").lstrip()
            if not typed or typed.startswith("~") or not path_problem(typed):
                yield from PathCompleter(expanduser=True).get_completions(
                    Document(typed), complete_event
                )
            return
        words = text[1:].split(" ")
        for choice, about in self._choices(words[:-1]):
            if choice.startswith(words[-1]) and printable(choice) == choice:
                yield Completion(choice, -len(words[-1]), display_meta=printable(about))

    def _choices(self, before: list[str]) -> Iterator[_Choice]:
        """Yield what may follow the words before, with what it means."""
        try:
            if not before:
                yield from ((command.name, command.brief) for command in COMMANDS.values())
            elif before == ["set"]:
                yield from ((each.name, each.help) for each in settings_of(SamplingConfig))
                yield "profile", "several settings at once"
            elif before == ["set", "profile"]:
                yield from ((name, profile.help) for name, profile in PROFILES.items())
                yield from self._own_profiles()
            elif before == ["profile", "rm"]:
                yield from self._own_profiles()
            elif before[0] == "set" and len(before) == 2:
                yield from self._values(before[1])
            elif len(before) == 1:
                yield from self._arguments(before[0])
        except TuillmError:
            return  # a damaged file is told about by the command itself

    def _arguments(self, command: str) -> Iterator[_Choice]:
        if command in ("model", "compare"):
            for model in list_models():
                yield model.name, model.problem or f"{count(model.card.parameters)} parameters"
        elif command in ("load", "delete"):
            yield from ((head.id, head.problem or head.label) for head in list_sessions()[:_LISTED])
        elif command == "theme":
            yield from ((theme.name, theme.about) for theme in list_themes()[0])
        elif command == "help":
            yield from ((each.name, each.brief) for each in COMMANDS.values())
        else:
            yield from _WORDS.get(command, ())

    def _own_profiles(self) -> Iterator[_Choice]:
        if folder_sampling(self._chat.model.path):
            yield "model", f"as its {GENERATION_CONFIG} says"
        yield from ((name, "yours") for name in profiles_of(self._chat.model.name))

    def _values(self, name: str) -> Iterator[_Choice]:
        """Yield the value of now, the usual one, and some others worth trying."""
        setting = next((each for each in settings_of(SamplingConfig) if each.name == name), None)
        if setting is None:
            return
        now = _typed(setting, getattr(self._chat.config, name))
        usual = _typed(setting, setting.default)
        yield now, "as it is now"
        for value, about in ((usual, "as it comes"), *_VALUES.get(name, ())):
            if value != now and (value != usual or about == "as it comes"):
                yield value, about


_WORDS: dict[str, tuple[_Choice, ...]] = {
    "mode": (("completion", "go on with one text"), ("chat", "take turns")),
    "think": (("on", "think before answering"), ("off", "answer at once")),
    "edit": (("reply", "the model's words instead of yours"),),
    "sessions": (("all", "with every model"), ("more", "the older ones")),
    "profile": (("save", "keep how it speaks now"), ("rm", "forget one of yours")),
}
_VALUES: dict[str, tuple[_Choice, ...]] = {
    "temperature": (
        ("0", "always the likeliest"),
        ("0.5", "calm"),
        ("1", "as it learned"),
        ("1.4", "wild"),
    ),
    "top_k": (("0", "all tokens"), ("10", "few"), ("50", "some"), ("200", "many")),
    "top_p": (("0.9", "cuts the unlikely tenth"), ("1", "cuts nothing")),
    "min_p": (("0", "cuts nothing"), ("0.05", "cuts what is absurd")),
    "repetition_penalty": (("1", "none"), ("1.1", "a little"), ("1.3", "much")),
    "stop": (
        ("none", "nothing ends a reply"),
        ('"\\n"', "the end of a line"),
        ('"\\n\\n"', "an empty line"),
    ),
    "heal": (("yes", "finish the last word"), ("no", "read words as they are")),
    "seed": (("auto", "another draw each time"), ("1", "the same draw each time")),
}


def _typed(setting: Setting, value: object) -> str:
    """A value as /set takes it."""
    if isinstance(value, tuple):
        return " ".join('"{}"'.format(text.replace("\n", "\\n")) for text in value) or "none"
    return setting.words(value)
