"""What the chat writes on the terminal: notes, pieces in colour, tables, and replies as they come.

Knows the terminal, the theme and the keys of a reply; knows no command and no conversation.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.output import ColorDepth, Output, create_output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from tuillm.chat.terminal.ctrl_c import Interrupts, Stopped
from tuillm.chat.terminal.reply_keys import Change, ReplyKeys
from tuillm.chat.terminal.reply_stream import ReplyStream
from tuillm.chat.terminal.reply_thoughts import ReplyThoughts
from tuillm.chat.terminal.status_line import Facts, Pace, StatusLine, fit
from tuillm.config import SamplingConfig
from tuillm.errors import printable
from tuillm.text.reading_progress import ReadingProgress
from tuillm.theme import Theme, load_theme

if TYPE_CHECKING:
    from tuillm.generation import Token

Pieces = Sequence[tuple[str, str]]
_WIDEST = 100
# a path stays whole as long as it can
_wrap = partial(wrap, break_on_hyphens=False)
_WORDS = re.compile(r"(\s*\n|[^\S\n]*)([^\s]*)")


@dataclass(frozen=True)
class Streamed:
    """How the showing of a reply went: tokens, whether the person stopped it, ids dropped."""

    tokens: int
    stopped: bool
    dropped: int
    text: str


class Screen:
    """The terminal of one chat, and who hears Ctrl-C there."""

    def __init__(self) -> None:
        self.interrupts = Interrupts()
        self.input: Input = create_input()
        self.output: Output = create_output()
        self.depth = self.output.get_default_color_depth()
        self.pace = Pace()
        self.reading = ""  # how far the reading of a long text is, in words
        self._progress = ReadingProgress()
        self._look: Callable[[], None] = _nothing
        self.use_theme(load_theme())

    def use_theme(self, theme: Theme) -> None:
        """Write in the colours of a theme from now on."""
        self.theme = theme
        self.style = Style.from_dict(theme.prompt_toolkit())

    @property
    def columns(self) -> int:
        """The width of the window."""
        return self.output.get_size().columns

    @property
    def colorless(self) -> bool:
        """Whether the person wants no colours, or the terminal has none."""
        return self.depth == ColorDepth.DEPTH_1_BIT

    def note(self, message: str) -> None:
        """Say something quietly, words kept whole."""
        self.say("note", message)

    def say(self, kind: str, message: str) -> None:
        """Say something in the style of a class: note, warning, error or success."""
        self.pieces([(f"class:{kind}", self._wrapped(message))])

    def pieces(self, pieces: Pieces) -> None:
        """Write styled pieces of text, then a line end; what acts on a terminal is left out."""
        safe = [(style, printable(text)) for style, text in pieces]
        print_formatted_text(
            FormattedText(_between_words(safe, self.columns)), style=self.style, output=self.output
        )

    def table(self, rows: Sequence[Sequence[str]], *, kind: str = "note") -> None:
        """Write rows in columns, the last cell wrapped below itself."""
        if not rows:
            return
        rows = [[printable(cell) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        indent = sum(widths) + 2 * len(widths) + 2
        lines = []
        for row in rows:
            head = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
            room = max(min(self.columns, _WIDEST) - indent - 1, 16)
            first, *rest = _wrap(row[-1], width=room) or [""]
            lines.append(f"  {head}{first}".rstrip())
            lines += [" " * indent + line for line in rest]
        self.pieces([(f"class:{kind}", "\n".join(lines))])

    def show_reading(self, done: int, total: int) -> None:
        """Show how far the model has read before it replies; raises Stopped when that is to end."""
        self.reading = self._progress.words(done, total)
        self._look()

    def stream(
        self,
        tokens: "Iterator[Token]",
        config: SamplingConfig,
        facts: Callable[[], Facts],
        change: Callable[[Change], None],
        *,
        known: int = 0,
        turns: bool = False,
        thoughts: ReplyThoughts | None = None,
    ) -> Streamed:
        """Show a reply as it comes; keys steer it, and Esc or Ctrl-C end it between two tokens.

        `facts` are for the line below, `change` is told what a key has changed. The first `known`
        tokens were drawn before and tell nothing about the pace; in `turns` the blank that a reply
        begins with is not shown, and `thoughts` take it apart.
        """
        self.pace = pace = Pace()
        paused = False

        def line(columns: int) -> list[tuple[str, str]]:
            return fit(facts(), columns)

        status = StatusLine(self.output, self.style, self.depth, line)
        count = dropped = 0
        text = ""
        with (
            closing(tokens),  # type: ignore[type-var]
            ReplyStream(self.output, self.style, self.depth, status) as stream,
            ReplyKeys(self.input, config, stream.aside, self.interrupts) as keys,
            self._looking_at(stream, keys, change),
        ):
            for token in _until_stopped(tokens):
                self.reading = ""
                if count >= known:
                    pace.token()
                shown = token.text if thoughts is None else thoughts.take(token, stream)
                shown = shown if text or not turns else shown.lstrip(" ")
                count, dropped, text = count + 1, dropped + token.dropped, text + shown
                stream.write(shown)
                for event in keys.events(stream.refresh):
                    if event.setting == "paused":
                        paused = bool(event.value)
                        if not paused:
                            pace.went_on()
                    change(event)
                    stream.refresh()
                if keys.stopped:
                    break
            if thoughts is not None:
                stream.write(thoughts.end(stream))
        return Streamed(count, keys.stopped, dropped, text)

    @contextmanager
    def _looking_at(
        self, stream: ReplyStream, keys: ReplyKeys, change: Callable[[Change], None]
    ) -> Iterator[None]:
        """While a reply is shown, the reading of a text before it can be seen and stopped."""
        self._look = partial(self._look_while_reading, stream, keys, change)
        try:
            yield
        finally:  # also when the reply ends in an error
            self.reading, self._look = "", _nothing

    def _look_while_reading(
        self, stream: ReplyStream, keys: ReplyKeys, change: Callable[[Change], None]
    ) -> None:
        """Bring the line below up to date, and look at the keys, while a text is read."""
        stream.refresh()
        for event in keys.events(stream.refresh):
            change(event)
            stream.refresh()
        if keys.stopped:
            raise Stopped

    def _wrapped(self, message: str) -> str:
        width = max(min(self.columns, _WIDEST) - 1, 20)
        lines = (
            _wrap(line, width=width, subsequent_indent=_indent(line)) or [""]
            for line in printable(message).splitlines() or [""]
        )
        return "\n".join(line for block in lines for line in block)


def _nothing() -> None:
    pass


def _until_stopped(tokens: "Iterator[Token]") -> "Iterator[Token]":
    """Yield tokens until the person ends the reading of what stands before one."""
    with suppress(Stopped):
        yield from tokens


def _between_words(pieces: Pieces, columns: int) -> Pieces:
    """Put a line end in the place of a blank where the window would break a word."""
    whole = "".join(text for _, text in pieces)
    breaks, column = set(), 0
    for found in _WORDS.finditer(whole):
        blanks, word = found.groups()
        cells = get_cwidth(word)
        if blanks.endswith("\n"):
            column = 0
        elif column and column + len(blanks) + cells > columns:
            breaks.add(found.end(1) - 1)
            column = 0
        else:
            column += len(blanks)
        if cells:
            column = (column + cells - 1) % columns + 1  # a longer word goes on below
    broken, offset = [], 0
    for style, text in pieces:
        letters = ("\n" if at in breaks else char for at, char in enumerate(text, offset))
        broken.append((style, "".join(letters)))
        offset += len(text)
    return broken


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
