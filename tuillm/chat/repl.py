"""The REPL: reads a line, runs a command or streams a reply, shows figures at the bottom.

Knows the terminal; what is said is the Session's business.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style

from tuillm.chat import commands
from tuillm.chat.loader import Loader
from tuillm.config import SamplingConfig, settings_of
from tuillm.errors import UsageError, printable
from tuillm.store.models import Model
from tuillm.store.paths import ensure_dir, history_file
from tuillm.theme import load_theme

if TYPE_CHECKING:
    from tuillm.chat.session import Session
    from tuillm.generation import Token


class Repl:
    """One chat with one model, until the person leaves."""

    def __init__(self, model: Model, config: SamplingConfig, device: str, dtype: str) -> None:
        """Begin to load the model; raises UsageError when there is no terminal."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("the chat needs a terminal", f"tuillm generate {model.name} -p TEXT")
        self._model, self._config = model, config
        self._loader = Loader(model, device, dtype)
        self._session: Session | None = None
        self._speed: float | None = None
        self._told_full = False
        self._style = Style.from_dict(load_theme().prompt_toolkit())
        ensure_dir(history_file().parent)
        self._prompt: PromptSession[str] = PromptSession(
            history=FileHistory(str(history_file())),
            auto_suggest=AutoSuggestFromHistory(),
            completer=commands.completer(),
            complete_while_typing=False,
            bottom_toolbar=self._toolbar,
            style=self._style,
            refresh_interval=0.5,  # the toolbar tells when the model has loaded
        )

    def run(self) -> None:
        """Talk until /bye or Ctrl-D; raises TuillmError when the model cannot be loaded."""
        self._note(f"{self._model.name} continues your text. /help explains, Ctrl-D leaves.")
        while True:
            try:
                line = self._prompt.prompt(FormattedText([("class:prompt", "› ")]))
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                if not self._answer(line):
                    return
            except KeyboardInterrupt:
                self._say("warning", "stopped")
            except UsageError as error:
                self._say("error", str(error))

    def _answer(self, line: str) -> bool:
        """Do what one line asks for; return False to leave."""
        command = commands.parse(line)
        if command is None:
            session = self._open_session()
            session.say(line[1:] if line.startswith("//") else line)
            self._stream(session, session.reply())
            return True
        if command.name == "help":
            self._say("note", commands.help_text())
        elif command.name == "set":
            self._set(command.rest)
        elif command.name == "show":
            self._show()
        elif command.name == "regen":
            self._regenerate()
        elif command.name == "clear" and self._session:
            self._session.clear()
            self._told_full = False
            self._note("the text is forgotten")
        return command.name != "bye"

    def _open_session(self) -> "Session":
        """Return the session, waiting for the model the first time."""
        if self._session is None:
            if not self._loader.done:
                self._note(f"loading {self._model.name}")
            sampler = self._loader.sampler()
            from tuillm.chat.session import Session

            self._session = Session(sampler, self._config)
        return self._session

    def _stream(self, session: "Session", tokens: "Iterator[Token]") -> None:
        """Show a reply as it comes; Ctrl-C ends it between two tokens."""
        output = self._prompt.app.output
        attributes = self._style.get_attrs_for_style_str("class:reply")
        output.set_attributes(attributes, self._prompt.app.color_depth)
        count = dropped = 0
        began = first = time.perf_counter()
        with _interrupt() as interrupted:
            for token in tokens:
                if not count:
                    first = time.perf_counter()
                count, dropped = count + 1, dropped + token.dropped
                output.write(printable(token.text))
                output.flush()
                if interrupted():
                    tokens.close()  # type: ignore[attr-defined]
                    break
        output.reset_attributes()
        output.write("\n")
        output.flush()
        seconds = time.perf_counter() - (first if count > 1 else began)
        self._speed = max(count - 1, 1) / seconds if seconds > 0 else None
        if dropped and not self._told_full:
            self._told_full = True
            self._note(f"the {session.used[1]} tokens of context are full: from here on the oldest "
                       "text falls out of view, as the meter below shows")

    def _set(self, rest: str) -> None:
        self._config = commands.apply_set(rest, self._config)
        if self._session:
            self._session.config = self._config
        name = rest.split()[0]
        self._note(f"{name} is {_words(self._config)[name]}")

    def _show(self) -> None:
        card = self._model.card
        lines = [f"  {'model':<20}{self._model.name}, {card.parameters or 0:,} parameters, "
                 f"{card.bits_per_byte or 0:.3f} bits/byte"]
        lines += [f"  {name:<20}{words}" for name, words in _words(self._config).items()]
        self._say("note", "\n".join(lines))

    def _regenerate(self) -> None:
        session = self._session
        tokens = session.regenerate() if session else None
        if session is None or tokens is None:
            raise UsageError("there is no reply to draw again", "type something first")
        self._stream(session, tokens)

    def _toolbar(self) -> FormattedText:
        """Model, temperature, top_k, tokens/s and context used, on one line."""
        value, plain = "class:bottom-toolbar.value", ""
        parts = [("class:bottom-toolbar.name", f" {self._model.name}")]
        for name in ("temperature", "top_k"):
            parts += [(plain, f"  {name} "), (value, f"{getattr(self._config, name):g}")]
        if self._speed:
            parts += [(value, f"  {self._speed:,.0f}"), (plain, " tokens/s")]
        if self._session:
            used, size = self._session.used
            parts += [(plain, "  context "), (value, f"{used}/{size}")]
        elif not self._loader.done:
            parts += [(plain, "  loading")]
        return FormattedText(parts)

    def _note(self, message: str) -> None:
        self._say("note", message)

    def _say(self, kind: str, message: str) -> None:
        print_formatted_text(FormattedText([(f"class:{kind}", printable(message))]),
                             style=self._style)


def _words(config: SamplingConfig) -> dict[str, str]:
    """Each setting and its value in the words of a person."""
    return {setting.name: setting.words(getattr(config, setting.name))
            for setting in settings_of(SamplingConfig)}


@contextmanager
def _interrupt() -> Iterator["Interrupted"]:
    """Turn Ctrl-C into a question that can be asked between tokens: no token is torn apart."""
    interrupted = Interrupted()
    before = signal.signal(signal.SIGINT, interrupted.note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


class Interrupted:
    """Whether Ctrl-C was pressed; ask by calling it."""

    def __init__(self) -> None:
        self._pressed = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of the signal."""
        self._pressed = True

    def __call__(self) -> bool:
        return self._pressed
