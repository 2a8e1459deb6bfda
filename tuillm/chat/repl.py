"""The REPL: reads what is typed and finds the command for it, until the person leaves.

Nothing but that ends it, once there is a model: errors are told in a line, Ctrl-C stops what is
under way. Knows the prompt and the commands by name; what they do stands in the modules it imports.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands import analysis, branches, conversations, roles, settings
from tuillm.chat.commands import help as help_command
from tuillm.chat.commands.slash_commands import Command, parse, text_of
from tuillm.chat.error_log import unexpected
from tuillm.chat.terminal.ctrl_c import Unread
from tuillm.chat.terminal.prompt import Cleared, Prompt
from tuillm.config import SamplingConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.store.registry import Model
from tuillm.store.sessions import SessionHead, latest
from tuillm.terminal.echo import unechoed

HANDLERS: dict[str, Callable[[Chat, str], None]] = {
    "set": settings.set_,
    "show": settings.show,
    "profile": settings.profile,
    "mode": settings.mode,
    "model": settings.model,
    "theme": settings.theme,
    "system": roles.system,
    "template": roles.template,
    "think": roles.think,
    "regen": branches.regen,
    "retry": branches.retry,
    "undo": branches.undo,
    "branches": branches.branches,
    "goto": branches.goto,
    "clear": branches.clear,
    "why": analysis.why,
    "score": analysis.score,
    "book": analysis.book,
    "compare": analysis.compare,
    "sessions": conversations.sessions,
    "load": conversations.load,
    "save": conversations.save,
    "export": conversations.export,
    "help": help_command.show_help,
}
# what takes the next line in a command's place; no prompt, no command
Next = Callable[[Chat, str], None]


class Repl:
    """One chat, until the person leaves."""

    def __init__(
        self,
        model: Model,
        config: SamplingConfig,
        device: str,
        dtype: str,
        *,
        drafting: Model | None = None,
        context: int | None = None,
        keep: bool = True,
        go_on: "bool | SessionHead" = False,
        vi: bool = False,
        system: str = "",
    ) -> None:
        """Get ready to talk; raises UsageError when there is no terminal.

        `drafting` is a smaller model that drafts; `context` is how many tokens the model has in
        view, None as many as usual. `keep` writes history and conversations down;
        `go_on` takes up a conversation, or the latest one. `system` is a system text.
        """
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("the chat needs a terminal", f"tuillm generate {model.name} -p TEXT")
        self.chat = Chat(
            model,
            config,
            device,
            dtype,
            drafting=drafting,
            context=context,
            keep=keep,
            system=system,
        )
        self._go_on, self._keep = go_on, keep
        self._next: Next | None = None
        self._prefill = ""
        # nothing else moves while torch is imported: first the prompt
        self._prompt = Prompt(self.chat, keep, vi, lambda: self.chat.loader.start())

    def run(self) -> None:
        """Talk until /bye or Ctrl-D; raises TuillmError when the model cannot be loaded."""
        screen = self.chat.screen
        # from here on Ctrl-C is ours, and what is typed while nothing reads stands in the next
        # prompt
        with screen.interrupts, unechoed(screen.input.fileno()), closing(self.chat):
            settings.describe(self.chat)
            going_on = self._attempt(self._begin)
            while going_on:
                try:
                    line = self._prompt.ask(self._prefill)
                except Cleared:
                    self._prefill, self._next = "", None
                except EOFError:
                    return
                else:
                    going_on = self._attempt(partial(self._answer, line))

    def _attempt(self, what: Callable[[], bool]) -> bool:
        """Do something and return what it returns; what ends it is told, and the chat goes on."""
        screen, loader = self.chat.screen, self.chat.loader
        try:
            return what()
        except KeyboardInterrupt as stop:
            screen.say("warning", str(stop) or "stopped")
        except TuillmError as error:
            loader.check()  # without a model there is nothing left to do
            screen.say("error", str(error))
        except Exception as error:
            told = unexpected(error)
            loader.check()
            screen.say("error", str(told))
        return True

    def _begin(self) -> bool:
        """Tell what a crash has left, and take up what was asked for."""
        chat = self.chat
        if self._keep:
            conversations.recover(chat)
        head = latest(chat.model.name) if self._go_on is True else self._go_on
        if head:
            told = chat.system
            conversations.take_up(chat, head)
            if told:
                roles.system(chat, told)
        elif self._go_on:
            chat.screen.note(f"no conversation with {chat.model.name} was kept yet")
        return True

    def _answer(self, line: str) -> bool:
        """Do what one line asks for; return False to leave.

        When the person stops it before the model has read all, or the template refuses what was
        said, nothing was said.
        """
        before = self.chat.spoken
        try:
            return self._answer_line(line)
        except (Unread, TuillmError) as error:
            if isinstance(error, Unread) or self.chat.unanswered(before):
                self.chat.session.goto(before)
                self.chat.keep_up()
            raise

    def _answer_line(self, line: str) -> bool:
        chat, awaited = self.chat, self._next
        self._next, self._prefill = None, ""
        if awaited is not None:
            awaited(chat, line)
            return True
        found = parse(line)
        if found is None:
            chat.session.say(text_of(line))
            chat.stream(chat.session.reply())
            return True
        return self._run(*found)

    def _run(self, command: Command, rest: str) -> bool:
        chat = self.chat
        if command.name == "edit":
            self._prefill = branches.last_words(chat, rest)
            self._next = partial(branches.edit, rest)
            chat.screen.note("change it and press Enter; Ctrl-C leaves it as it was")
        elif command.name == "delete":
            self._next = partial(conversations.delete, conversations.ask_to_delete(chat, rest))
        elif command.name == "vi":
            chat.screen.note(f"{self._prompt.switch_keys()} keys")
        elif command.name != "bye":
            HANDLERS[command.name](chat, rest)
        return command.name != "bye"
