"""What the chat writes on the terminal: notes, pieces in colour, tables, and replies as they come.

Knows the terminal, the theme and the keys of a reply; knows no command and no conversation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.output import ColorDepth, Output, create_output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style

from tuillm.chat.keys import Change, ReplyKeys
from tuillm.chat.status import Facts, Pace, StatusLine, fit
from tuillm.chat.stream import ReplyStream
from tuillm.config import SamplingConfig
from tuillm.errors import printable
from tuillm.theme import Theme, load_theme

if TYPE_CHECKING:
    from tuillm.generation import Token

Pieces = Sequence[tuple[str, str]]
_WIDEST = 100


@dataclass(frozen=True)
class Streamed:
    """How the showing of a reply went: tokens, whether the person stopped it, ids dropped."""

    tokens: int
    stopped: bool
    dropped: int
    text: str


class Screen:
    """The terminal of one chat."""

    def __init__(self) -> None:
        self.input: Input = create_input()
        self.output: Output = create_output()
        self.depth = self.output.get_default_color_depth()
        self.pace = Pace()
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
    def colors(self) -> bool:
        """Whether the terminal shows colours at all."""
        return self.depth != ColorDepth.DEPTH_1_BIT

    def note(self, message: str) -> None:
        """Say something quietly, words kept whole."""
        self.say("note", message)

    def say(self, kind: str, message: str) -> None:
        """Say something in the style of a class: note, warning, error or success."""
        self.pieces([(f"class:{kind}", self._wrapped(message))])

    def pieces(self, pieces: Pieces) -> None:
        """Write styled pieces of text, then a line end; what acts on a terminal is left out."""
        safe = FormattedText([(style, printable(text)) for style, text in pieces])
        print_formatted_text(safe, style=self.style, output=self.output)

    def table(self, rows: Sequence[Sequence[str]], *, kind: str = "note") -> None:
        """Write rows in columns, the last cell wrapped below itself."""
        if not rows:
            return
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
        indent = sum(widths) + 2 * len(widths) + 2
        lines = []
        for row in rows:
            head = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
            room = max(min(self.columns, _WIDEST) - indent - 1, 16)
            first, *rest = wrap(printable(row[-1]), room) or [""]
            lines.append(f"  {head}{first}".rstrip())
            lines += [" " * indent + line for line in rest]
        self.pieces([(f"class:{kind}", "\n".join(lines))])

    def stream(
        self, tokens: "Iterator[Token]", config: SamplingConfig, facts: Callable[[], Facts],
        change: Callable[[Change], None], *, known: int = 0, turns: bool = False,
    ) -> Streamed:
        """Show a reply as it comes; keys steer it, and Esc or Ctrl-C end it between two tokens.

        `facts` are for the line below, `change` is told what a key has changed. The first `known`
        tokens were drawn before and tell nothing about the pace; in `turns` the blank that a reply
        begins with is not shown.
        """
        self.pace = pace = Pace()
        paused = False

        def line(columns: int) -> list[tuple[str, str]]:
            return fit(facts(), columns)

        status = StatusLine(self.output, self.style, self.depth, line)
        count = dropped = 0
        text = ""
        with (ReplyStream(self.output, self.style, self.depth, status) as stream,
              ReplyKeys(self.input, config, stream.aside) as keys):
            for token in tokens:
                if count >= known:
                    pace.token()
                shown = token.text if text or not turns else token.text.lstrip(" ")
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
            stopped = keys.stopped
            if stopped:
                tokens.close()  # type: ignore[attr-defined]
        return Streamed(count, stopped, dropped, text)

    def _wrapped(self, message: str) -> str:
        width = max(min(self.columns, _WIDEST) - 1, 20)
        lines = (wrap(line, width, drop_whitespace=True, subsequent_indent=_indent(line)) or [""]
                 for line in printable(message).splitlines() or [""])
        return "\n".join(line for block in lines for line in block)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
