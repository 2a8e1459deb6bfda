"""The prompt: its keys, texts of several lines, safe paste, history, completion and the figures.

Ctrl-C clears the line; what goes wrong within prompt-toolkit is told when the line was sent. Knows
prompt-toolkit; what a line means is the business of `commands` and `repl`.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.screen import Char
from prompt_toolkit.styles import DynamicStyle

from tuillm.chat.active_chat import Chat
from tuillm.chat.commands.slash_commands import is_open
from tuillm.chat.error_log import unexpected
from tuillm.chat.terminal.completion import ChatCompleter
from tuillm.chat.terminal.prompt_history import KeptHistory
from tuillm.chat.terminal.status_line import fit
from tuillm.errors import TuillmError, printable
from tuillm.store.paths import history_file

_MARK = [("class:prompt", "› ")]


def _no_ending(record: logging.LogRecord) -> bool:
    """Whether what prompt-toolkit logs is a fault, and not a signal that ends the chat."""
    return not (record.exc_info and isinstance(record.exc_info[1], SystemExit))


# a signal may come in the middle of its reading the history: it would print how
logging.getLogger("prompt_toolkit.buffer").addFilter(_no_ending)


class Cleared(Exception):
    """Ctrl-C was pressed at the prompt."""


class Prompt:
    """Asks for one line after another; what is typed is remembered only with `keep`."""

    def __init__(
        self, chat: Chat, keep: bool, vi: bool, drawn: Callable[[], None] = lambda: None
    ) -> None:
        """`drawn` is called whenever the prompt stands on the screen."""
        _show_marks()
        history: History = InMemoryHistory()
        if keep:
            history = KeptHistory(history_file(), lambda error: self._refused.append(error))
        self._chat, self._screen = chat, (screen := chat.screen)
        # what is told when the prompt has gone from the screen
        self._refused: list[TuillmError] = []
        self._troubles: list[TuillmError] = []
        self._session: PromptSession[str] = PromptSession(
            FormattedText(_MARK),
            history=history,
            auto_suggest=AutoSuggestFromHistory(),
            completer=ChatCompleter(chat),
            complete_while_typing=False,
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: FormattedText(
                [("class:prompt", "· " if not wrapped else "  ")]
            ),
            key_bindings=_keys(),
            vi_mode=vi,
            style=DynamicStyle(lambda: screen.style),
            bottom_toolbar=lambda: FormattedText(fit(chat.facts(), screen.columns)),
            enable_open_in_editor=True,
            input=screen.input,
            output=screen.output,
            refresh_interval=0.5,  # the toolbar tells when the model has loaded
            # a KeyboardInterrupt would tear through asyncio
            interrupt_exception=Cleared,
        )
        self._session.app.after_render += lambda _: drawn()

    def ask(self, default: str = "") -> str:
        """Return what is typed, which may change `default`.

        Raises Cleared for Ctrl-C and EOFError for Ctrl-D.
        """
        try:
            with self._screen.interrupts.taken_by(self._take_press):
                return self._session.prompt(
                    default=default,
                    pre_run=self._begin,
                    handle_sigint=False,
                    set_exception_handler=False,
                )
        except SystemExit:  # SIGTERM, perhaps in the middle of a picture
            self._give_back()
            raise
        finally:
            self._note_presses()
            while self._refused:
                self._chat.cannot_keep(self._refused.pop())
            while self._troubles:
                self._screen.say("error", str(self._troubles.pop()))

    def _give_back(self) -> None:
        """Switch off what prompt-toolkit leaves on where its first picture is not finished."""
        output = self._screen.output
        with suppress(OSError):  # the terminal may be gone
            self._session.app.renderer.reset()
            output.enable_autowrap()
            output.show_cursor()
            output.reset_attributes()
            output.flush()

    def _begin(self) -> None:
        """Begin with no press, and with our own ears for errors in the event loop."""
        self._screen.interrupts.forget()
        asyncio.get_running_loop().set_exception_handler(self._failed)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self._troubles.append(error if isinstance(error, TuillmError) else unexpected(error))

    def _take_press(self) -> bool:
        """Let a SIGINT be the key Ctrl-C, if the prompt is there to read it."""
        app = self._session.app

        def clear() -> None:
            if app.is_running and not app.is_done:
                app.key_processor.send_sigint()

        if not app.is_running or app.is_done or app.loop is None or app.context is None:
            return False
        app.loop.call_soon_threadsafe(app.context.copy().run, clear)
        return True

    def _note_presses(self) -> None:
        """Let a Ctrl-C right behind Enter be a press, not a key for the next prompt."""
        ahead = get_typeahead(self._screen.input)
        store_typeahead(self._screen.input, [key for key in ahead if key.key != Keys.ControlC])
        if any(key.key == Keys.ControlC for key in ahead):
            self._screen.interrupts.press()

    def switch_keys(self) -> str:
        """Change between vi and emacs keys; return the name of those that hold now."""
        vi = self._session.editing_mode != EditingMode.VI
        self._session.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        return "vi" if vi else "emacs"


def _show_marks() -> None:
    """Let the marks that turn text around be seen instead of obeyed, as prompt-toolkit shows ESC.

    They may stand in what is pasted, remembered or edited, and in names that Tab offers.
    """
    marks = map(chr, range(0x2000, 0x2070))
    Char.display_mappings.update(
        {mark: f"<{ord(mark):x}>" for mark in marks if not printable(mark)}
    )


def _keys() -> KeyBindings:
    """Enter sends, unless a text in \"\"\" is not over; Alt-Enter begins a line; Ctrl-G edits."""
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)  # and not in a search

    @keys.add("enter", filter=typing)
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-g", filter=typing)
    def editor(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    @keys.add(Keys.BracketedPaste)
    def paste(event: KeyPressEvent) -> None:
        lines = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(printable(lines))

    @keys.add(Keys.Vt100MouseEvent)
    def mouse(event: KeyPressEvent) -> None:
        """Do nothing: no mouse was asked for, and what only looks like one cannot be parsed."""

    return keys
