"""What Tab offers on the prompt: commands, settings, values and names, each with a few words."""

from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from tuillm.chat.chat import Chat
from tuillm.chat.commands import COMMANDS
from tuillm.config import SamplingConfig, settings_of
from tuillm.config.profiles import PROFILES
from tuillm.errors import TuillmError
from tuillm.store.models import list_models
from tuillm.store.profiles import profiles_of
from tuillm.store.sessions import list_sessions
from tuillm.theme import list_themes
from tuillm.units import count

_Choice = tuple[str, str]


class ChatCompleter(Completer):
    """Completes the word before the cursor of a line that begins with a slash."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or text.startswith("//") or "\n" in text:
            return
        words = text[1:].split(" ")
        for choice, about in self._choices(words[:-1]):
            if choice.startswith(words[-1]):
                yield Completion(choice, -len(words[-1]), display_meta=about)

    def _choices(self, before: list[str]) -> Iterator[_Choice]:
        """Yield what may follow the words before, with what it means."""
        try:
            if not before:
                yield from ((command.name, command.help) for command in COMMANDS.values())
            elif before == ["set"]:
                yield from ((each.name, each.help) for each in settings_of(SamplingConfig))
                yield "profile", "several settings at once"
            elif before == ["set", "profile"]:
                yield from ((name, profile.help) for name, profile in PROFILES.items())
                yield from ((name, "yours") for name in profiles_of(self._chat.model.name))
            elif len(before) == 1:
                yield from self._arguments(before[0])
        except TuillmError:
            return  # a damaged file is told about by the command itself

    def _arguments(self, command: str) -> Iterator[_Choice]:
        if command in ("model", "compare"):
            for model in list_models():
                yield model.name, model.problem or f"{count(model.card.parameters)} parameters"
        elif command == "load":
            yield from ((head.id, head.problem or head.title) for head in list_sessions()[:50])
        elif command == "theme":
            yield from ((theme.name, theme.about) for theme in list_themes()[0])
        elif command == "mode":
            yield "completion", "go on with one text"
            yield "chat", "take turns"
        elif command == "edit":
            yield "reply", "the model's words instead of yours"
        elif command == "sessions":
            yield "all", "with every model"
        elif command == "profile":
            yield "save", "keep how it speaks now"
            yield "rm", "forget one of yours"
