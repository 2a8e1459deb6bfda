"""Keys while a reply streams: steer, pause, stop; what else is typed waits for the next prompt.

Knows the keyboard through prompt-toolkit's input, and signals; changes no setting itself and
writes nothing. Asked between two tokens, it costs a microsecond and no thread.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from types import TracebackType
from typing import NamedTuple, Self

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from tuillm.chat.terminal.ctrl_c import Interrupts
from tuillm.config import SamplingConfig, build_sampling
from tuillm.errors import UsageError
from tuillm.terminal.ending import ENDING, Handler, leave

KEYS = {"↑ ↓": "temperature", "← →": "top_k", "Space": "pause, go on", "Esc": "stop (or Ctrl-C)"}
TEMPERATURE_STEP = 0.05
TOP_K_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 0)

# an arrow key sends Esc and two more characters; what is alone for so long is the Esc key
_ALONE = 0.1
_OFTEN = 0.02  # nobody presses keys faster
_LOOK_AGAIN = 0.2
_BREATH = 0.01
_ENTER = (Keys.ControlM, Keys.ControlJ)
_NOT_TYPED = (Keys.CPRResponse, Keys.Vt100MouseEvent, Keys.Ignore)


class Change(NamedTuple):
    """What a key changed: temperature, top_k, or `paused`; and the new value."""

    setting: str
    value: float


class ReplyKeys:
    """Listens while a reply streams; `with ReplyKeys(input, config) as keys:` around the loop.

    In the block the terminal shows no typed character, and Ctrl-C only sets `stopped`, as it does
    when it was pressed before. SIGTERM and SIGHUP raise SystemExit, so that everything on the way
    out gives back what it has taken. At the end the terminal is as it was, and the next prompt
    finds what was typed ahead.
    """

    def __init__(
        self,
        input: Input,
        config: SamplingConfig,
        aside: Callable[[], AbstractContextManager[object]] = nullcontext,
        interrupts: Interrupts | None = None,
    ) -> None:
        """`aside` makes room on the screen while the program is suspended with Ctrl-Z.

        `interrupts` are those of a chat, which hears Ctrl-C before and after the reply, too.
        """
        self.paused = self._ended = False
        self._interrupts = interrupts or Interrupts()
        self._input, self._config, self._aside = input, config, aside
        self._kept: list[KeyPress] = []
        self._waiting = False  # whether Esc may have been read, and not what follows
        self._read_at = self._polled_at = 0.0
        self._raw: AbstractContextManager[None] = nullcontext()
        self._handlers: dict[int, Handler] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._interrupts)
            self._set_handlers()
            stack.callback(self._reset_handlers)
            self._make_raw()
            stack.callback(lambda: self._raw.__exit__(None, None, None))
            self._held = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with suppress(OSError):
                self._poll()
                self._take(self._input.flush_keys(), together=False)
            store_typeahead(self._input, self._kept)
            self._kept = []
        finally:
            self._held.close()

    @property
    def stopped(self) -> bool:
        """Whether the person has stopped the reply, or the terminal has gone."""
        return self._ended or self._interrupts.pressed

    @property
    def typed(self) -> str:
        """What was typed ahead, as far as it is plain text."""
        text = ""
        for press in self._kept:
            if press.key in (Keys.ControlH, Keys.Backspace):
                text = text[:-1]
            elif press.key == Keys.BracketedPaste or press.data.isprintable():
                text += press.data
        return text

    def events(self, idle: Callable[[], object] = lambda: None) -> Iterator[Change]:
        """Yield what was changed since the last call; while paused, wait for more.

        `idle` is called at the beginning of a pause and now and then during it. The pause ends
        with `paused`, or with `stopped`.
        """
        if time.perf_counter() - self._polled_at < _OFTEN and not self.paused:
            return
        yield from self._poll()
        while self.paused and not self.stopped:
            idle()
            came = self._wait(_LOOK_AGAIN)
            self._polled_at = time.perf_counter()  # what came, came now
            changes = self._poll()
            yield from changes
            if came and not changes:
                time.sleep(_BREATH)  # a terminal that has gone always looks as if a key had come

    def _poll(self) -> list[Change]:
        """Take the keys that were pressed since the last call."""
        now = time.perf_counter()
        together = now - self._polled_at < _ALONE
        self._polled_at = now
        keys: list[KeyPress] = []
        if sys.platform == "win32":
            keys = self._input.read_keys()  # keys come whole there, and this does not wait
        elif self._wait(0):
            keys = self._input.read_keys()
            self._ended = self._ended or self._input.closed
            self._waiting, self._read_at = True, now
            if not keys and not self._wait(_ALONE):
                keys, self._waiting = self._input.flush_keys(), False
        elif self._waiting and now - self._read_at >= _ALONE:
            keys, self._waiting = self._input.flush_keys(), False
        return self._take(keys, together) if keys else []

    def _take(self, keys: list[KeyPress], together: bool) -> list[Change]:
        """Do what each key says. Esc and a key that came `together` are one: Alt and that key."""
        changes: list[Change] = []
        for index, press in enumerate(keys):
            alt = together and Keys.Escape in (key.key for key in keys[index - 1 : index])
            if press.key == Keys.ControlC:
                self._interrupts.press()
            elif press.key == Keys.Escape:
                if together and index + 1 < len(keys) and keys[index + 1].key != Keys.Escape:
                    self._kept.append(press)
                else:
                    self._ended = True
            elif press.key == Keys.ControlZ:
                self._suspend()
            elif press.key not in _NOT_TYPED and (alt or not self._steer(press, changes)):
                self._keep(press, changes)
        return changes

    def _steer(self, press: KeyPress, changes: list[Change]) -> bool:
        """Change what the key stands for; return whether it stands for anything."""
        if press.key in (Keys.Up, Keys.Down):
            step = TEMPERATURE_STEP if press.key == Keys.Up else -TEMPERATURE_STEP
            self._set("temperature", max(round(self._config.temperature + step, 2), 0.0), changes)
        elif press.key in (Keys.Left, Keys.Right):
            self._set("top_k", _next_top_k(self._config.top_k, press.key == Keys.Right), changes)
        elif press.key == " " and not self._kept:  # else it belongs to what is being typed
            self.paused = not self.paused
            changes.append(Change("paused", self.paused))
        else:
            return False
        return True

    def _set(self, setting: str, value: float, changes: list[Change]) -> None:
        with suppress(UsageError):  # beyond what is allowed the setting stays as it is
            config = build_sampling({setting: value}, self._config)
            if config != self._config:
                self._config = config
                changes.append(Change(setting, value))

    def _keep(self, press: KeyPress, changes: list[Change]) -> None:
        """Keep a key for the next prompt; a line sent off ends a pause, as Space no longer can."""
        self._kept.append(press)
        if self.paused and press.key in _ENTER:
            self.paused = False
            changes.append(Change("paused", False))

    def _wait(self, seconds: float) -> bool:
        """Wait for a key so long; return whether there is any."""
        if sys.platform == "win32":
            time.sleep(seconds)
            return True
        try:
            return bool(select.select([self._input.fileno()], [], [], seconds)[0])
        except (OSError, ValueError):  # the terminal has gone
            return False

    def _suspend(self) -> None:
        """Stop the program as Ctrl-Z does; returns when it is continued."""
        if sys.platform == "win32":
            return
        with self._aside():
            self._raw.__exit__(None, None, None)
            with self._input.cooked_mode():  # a chat shows nothing typed; the shell does
                os.kill(0, signal.SIGTSTP)  # the whole job, as the terminal itself would
            self._make_raw()

    def _make_raw(self) -> None:
        self._raw = self._input.raw_mode()
        self._raw.__enter__()

    def _set_handlers(self) -> None:
        with suppress(ValueError):  # not in the main thread
            for number in ENDING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, leave)

    def _reset_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _next_top_k(current: int, more: bool) -> int:
    """Return the next of the steps; 0 means all and is the last one."""
    size = current or sys.maxsize
    steps = [step or sys.maxsize for step in TOP_K_STEPS]
    beyond = [step for step in steps if (step > size if more else step < size)]
    found = (min(beyond) if more else max(beyond)) if beyond else size
    return 0 if found == sys.maxsize else found
