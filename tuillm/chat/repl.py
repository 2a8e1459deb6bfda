"""The REPL: reads what is typed and finds the command for it, until the person leaves.

Knows the prompt and the commands by name; what they do stands in the modules it imports.
"""

import sys
from collections.abc import Callable

from tuillm.chat import helping, inside, keeping, rewriting, steering
from tuillm.chat.chat import Chat
from tuillm.chat.commands import Command, parse, text_of
from tuillm.chat.prompt import Prompt
from tuillm.config import SamplingConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.store.models import Model
from tuillm.store.sessions import latest

HANDLERS: dict[str, Callable[[Chat, str], None]] = {
    "set": steering.set_, "show": steering.show, "profile": steering.profile,
    "mode": steering.mode, "model": steering.model, "theme": steering.theme,
    "regen": rewriting.regen, "retry": rewriting.retry, "undo": rewriting.undo,
    "branches": rewriting.branches, "goto": rewriting.goto, "clear": rewriting.clear,
    "why": inside.why, "score": inside.score, "book": inside.book, "compare": inside.compare,
    "sessions": keeping.sessions, "load": keeping.load, "save": keeping.save,
    "export": keeping.export, "help": helping.show_help,
}


class Repl:
    """One chat, until the person leaves."""

    def __init__(
        self, model: Model, config: SamplingConfig, device: str, dtype: str, *,
        keep: bool = True, go_on: bool = False, vi: bool = False,
    ) -> None:
        """Get ready to talk; raises UsageError when there is no terminal.

        `keep` writes history and conversations down; `go_on` takes up the latest conversation.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("the chat needs a terminal", f"tuillm generate {model.name} -p TEXT")
        self.chat = Chat(model, config, device, dtype, keep=keep)
        self._go_on = go_on
        self._editing: str | None = None  # what the next line takes the place of
        self._prefill = ""
        # nothing else moves while torch is imported: first the prompt
        self._prompt = Prompt(self.chat, keep, vi, lambda: self.chat.loader.start())

    def run(self) -> None:
        """Talk until /bye or Ctrl-D; raises TuillmError when the model cannot be loaded."""
        chat = self.chat
        try:
            chat.screen.note(steering.describe_mode(chat))
            if self._go_on:
                self._take_up_latest()
            default, going_on = "", True
            while going_on:
                try:
                    line = self._prompt.ask(default)
                except KeyboardInterrupt:
                    default, self._editing = "", None
                    continue
                except EOFError:
                    return
                default = ""
                try:
                    going_on = self._answer(line)
                    default = self._prefill
                except KeyboardInterrupt:
                    chat.screen.say("warning", "stopped")
                except TuillmError as error:
                    chat.loader.check()  # without a model there is nothing left to do
                    chat.screen.say("error", str(error))
        finally:
            chat.close()

    def _answer(self, line: str) -> bool:
        """Do what one line asks for; return False to leave."""
        chat, what = self.chat, self._editing
        self._editing, self._prefill = None, ""
        if what is not None:
            rewriting.edit(chat, what, line)
            return True
        found = parse(line)
        if found is None:
            chat.session.say(text_of(line))
            chat.stream(chat.session.reply())
            return True
        return self._run(*found)

    def _run(self, command: Command, rest: str) -> bool:
        if command.name == "edit":
            self._prefill = rewriting.last_words(self.chat, rest)
            self._editing = rest
            self.chat.screen.note("change it and press Enter; Ctrl-C leaves it as it was")
        elif command.name == "vi":
            self.chat.screen.note(f"{self._prompt.switch_keys()} keys")
        elif command.name != "bye":
            HANDLERS[command.name](self.chat, rest)
        return command.name != "bye"

    def _take_up_latest(self) -> None:
        head = latest(self.chat.model.name)
        if head is None:
            self.chat.screen.note(f"no conversation with {self.chat.model.name} was kept yet")
        else:
            keeping.take_up(self.chat, head)
