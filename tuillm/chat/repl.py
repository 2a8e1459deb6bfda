"""The REPL: reads what is typed, finds the command, shows figures at the bottom.

Knows the prompt and the commands by name; what they do stands in the modules it imports.
"""

import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import DynamicStyle

from tuillm.chat import inside, keeping, rewriting, steering
from tuillm.chat.chat import Chat
from tuillm.chat.commands import COMMANDS, GROUPS, KEYS, Command, is_open, parse, text_of
from tuillm.chat.completion import ChatCompleter
from tuillm.chat.keys import KEYS as REPLY_KEYS
from tuillm.chat.status import fit
from tuillm.config import SamplingConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.store.models import Model
from tuillm.store.paths import ensure_dir, history_file
from tuillm.store.sessions import latest

HANDLERS: dict[str, Callable[[Chat, str], None]] = {
    "set": steering.set_, "show": steering.show, "profile": steering.profile,
    "mode": steering.mode, "model": steering.model, "theme": steering.theme,
    "regen": rewriting.regen, "retry": rewriting.retry, "undo": rewriting.undo,
    "branches": rewriting.branches, "goto": rewriting.goto, "clear": rewriting.clear,
    "why": inside.why, "score": inside.score, "book": inside.book, "compare": inside.compare,
    "sessions": keeping.sessions, "load": keeping.load, "save": keeping.save,
    "export": keeping.export,
}


class Repl:
    """One chat, until the person leaves."""

    def __init__(
        self, model: Model, config: SamplingConfig, device: str, dtype: str, *,
        keep: bool = True, go_on: bool = False, vi: bool = False,
    ) -> None:
        """Begin to load the model; raises UsageError when there is no terminal.

        `keep` writes history and conversations down; `go_on` takes up the latest conversation.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("the chat needs a terminal", f"tuillm generate {model.name} -p TEXT")
        self.chat = Chat(model, config, device, dtype, keep=keep)
        self._go_on = go_on
        self._editing: str | None = None  # what the next line takes the place of
        self._prompt = self._new_prompt(keep, vi)
        # importing torch takes half a second in which nothing else moves: first the prompt
        self._prompt.app.after_render += lambda _: self.chat.loader.start()

    def run(self) -> None:
        """Talk until /bye or Ctrl-D; raises TuillmError when the model cannot be loaded."""
        chat = self.chat
        try:
            chat.screen.note(steering.describe_mode(chat))
            if self._go_on:
                self._take_up_latest()
            default = ""
            while True:
                try:
                    line = self._prompt.prompt(
                        FormattedText([("class:prompt", "› ")]), default=default)
                except KeyboardInterrupt:
                    default, self._editing = "", None
                    continue
                except EOFError:
                    return
                default = ""
                try:
                    if self._answer(line) is False:
                        return
                    default = self._prefill
                except KeyboardInterrupt:
                    chat.screen.say("warning", "stopped")
                except TuillmError as error:
                    self._fail(error)
        finally:
            chat.close()

    def _fail(self, error: TuillmError) -> None:
        """Say what went wrong; a chat whose model cannot be loaded has nothing left to do."""
        loader = self.chat.loader
        if loader.done and loader.failed:
            raise error
        self.chat.screen.say("error", str(error))

    def _answer(self, line: str) -> bool:
        """Do what one line asks for; return False to leave."""
        chat, what = self.chat, self._editing
        self._editing, self._prefill = None, ""
        if what is not None:
            rewriting.edit(chat, what, text_of(line))
            return True
        found = parse(line)
        if found is None:
            chat.session.say(text_of(line))
            chat.stream(chat.session.reply())
            return True
        return self._run(*found)

    def _run(self, command: Command, rest: str) -> bool:
        if command.name == "help":
            self._help()
        elif command.name == "edit":
            self._prefill = rewriting.last_words(self.chat, rest)
            self._editing = rest
            self.chat.screen.note("change it and press Enter; Ctrl-C leaves it as it was")
        elif command.name == "vi":
            vi = self._prompt.editing_mode != EditingMode.VI
            self._prompt.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
            self.chat.screen.note("vi keys" if vi else "emacs keys")
        elif command.name != "bye":
            HANDLERS[command.name](self.chat, rest)
        return command.name != "bye"

    def _help(self) -> None:
        screen = self.chat.screen
        for group in GROUPS:
            screen.pieces([("class:prompt", group)])
            screen.table([(command.usage, command.help) for command in COMMANDS.values()
                          if command.group == group])
        screen.pieces([("class:prompt", "keys")])
        screen.table(list(KEYS.items()))
        screen.pieces([("class:prompt", "while it speaks")])
        screen.table(list(REPLY_KEYS.items()))

    def _take_up_latest(self) -> None:
        head = latest(self.chat.model.name)
        if head is None:
            self.chat.screen.note(f"no conversation with {self.chat.model.name} was kept yet")
        else:
            keeping.take_up(self.chat, head)

    def _new_prompt(self, keep: bool, vi: bool) -> PromptSession[str]:
        self._prefill = ""
        history: History = InMemoryHistory()
        if keep:
            ensure_dir(history_file().parent)
            history = FileHistory(str(history_file()))
        screen = self.chat.screen
        return PromptSession(
            history=history, auto_suggest=AutoSuggestFromHistory(),
            completer=ChatCompleter(self.chat), complete_while_typing=False, multiline=True,
            prompt_continuation=lambda width, number, wrapped: FormattedText(
                [("class:prompt", "· " if not wrapped else "  ")]),
            key_bindings=_keys(), bottom_toolbar=self._toolbar, vi_mode=vi,
            style=DynamicStyle(lambda: screen.style), enable_open_in_editor=True,
            input=screen.input, output=screen.output,
            refresh_interval=0.5,  # the toolbar tells when the model has loaded
        )

    def _toolbar(self) -> FormattedText:
        """The line that also stands below a reply."""
        return FormattedText(fit(self.chat.facts(), self.chat.screen.columns))


def _keys() -> KeyBindings:
    """Enter sends, unless a text in \"\"\" is not over; Alt-Enter begins a line; Ctrl-G edits."""
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-g")
    def editor(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return keys
