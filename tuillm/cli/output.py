"""The one gate to stdout and stderr for all verbs: text, tables, facts, questions, JSON.

Whatever is printed is `printable`: names, cards and errors come out of anybody's files. Knows
click and rich; knows no models. No other module of the command line writes to a stream.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import click

from tuillm.errors import one_line, printable
from tuillm.formats.json_text import shown_json
from tuillm.terminal.streams import takes_utf8
from tuillm.text.progress_tick import ProgressWords
from tuillm.text.reading_progress import ReadingProgress

if TYPE_CHECKING:
    from tuillm.terminal.safe_console import SafeConsole

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")

_ERASE = "\r\x1b[K"
_PROGRESS_EVERY = 0.2


def say(text: str = "", *, aside: bool = False) -> None:
    """Print one line to stdout, `aside` to stderr; line ends within it become blanks."""
    line = " ".join(printable(text).splitlines())
    print(line, file=sys.stderr if aside else sys.stdout, flush=True)


def say_page(text: str) -> None:
    """Print a text of several lines of our own making, such as help."""
    print(printable(text))


def complain(text: str, *, whole: bool = False) -> None:
    """Print one line to stderr, or the `whole` text, if that can be done at all."""
    with suppress(OSError, ValueError):
        if whole:
            print(printable(text), file=sys.stderr, flush=True)
        else:
            say(text, aside=True)


def overwrite(text: str) -> None:
    """Put a line on stderr, a terminal, in the place of the one before; '' takes it away."""
    print(f"{_ERASE}{one_line(text)}", end="", file=sys.stderr, flush=True)


class ProgressLine:
    """A line on stderr that says how far work is, on a terminal only; it goes when the work ends.

    `with ProgressLine() as tick` gives a `Tick`: what is done, and how much of it, from 0 to 1.
    """

    def __init__(self) -> None:
        self._wanted = sys.stderr is not None and sys.stderr.isatty()
        self._told = time.monotonic()
        self._progress = ProgressWords()

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            overwrite("")

    def __call__(self, stage: str, share: float) -> None:
        if not self._wanted:
            return
        words, now = self._progress.words(stage, share), time.monotonic()
        if now - self._told > _PROGRESS_EVERY:
            self._told = now
            overwrite(words)


class ReadingLine:
    """A line on stderr that says how far a long prompt was read, on a terminal only."""

    def __init__(self) -> None:
        self._wanted = sys.stderr is not None and sys.stderr.isatty()
        self._progress, self._shown = ReadingProgress(), False

    def show(self, done: int, total: int) -> None:
        """Say it, where that has taken a while."""
        words = self._progress.words(done, total) if self._wanted else ""
        if words:
            self._shown = True
            overwrite(words)

    def erase(self) -> None:
        """Take it away."""
        if self._shown:
            self._shown = False
            overwrite("")


def write_text(text: str) -> None:
    """Write a piece of what a model says or a person has typed, at once.

    On a terminal what would act on it is left out; a pipe gets it as it is, for it is data.
    """
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_page(text: str) -> None:
    """Write a whole document, such as Markdown, with nothing in it that acts on a terminal."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(_safe_json(value, indent=2))


def print_json_line(value: object, *, ascii_only: bool = False) -> None:
    """Print a value as one line of JSON, at once."""
    print(_safe_json(value, ascii_only=ascii_only), flush=True)


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask yes or no on a terminal; Enter means `default`. Raises click.Abort at its end."""
    return click.confirm(one_line(question), default=default)


def refuse_unless_confirmed(question: str, yes: bool) -> None:
    """Ask on a terminal before something is lost; click.Abort when the answer is no.

    `yes` answers beforehand; a script is not asked.
    """
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    if not confirm(question):
        say("nothing was removed")
        raise click.Abort


def print_facts(facts: dict[str, object]) -> None:
    """Print names and values in two columns, a line each, numbers for people."""
    width = max(map(len, facts))
    for name, value in facts.items():
        if isinstance(value, float):
            shown = f"{value:,.4f}" if value < 1000 else f"{value:,.0f}"
        elif isinstance(value, int) and not isinstance(value, bool):
            shown = f"{value:,}"
        else:
            shown = str(value).replace("\n", "\\n")
        say(f"{name.replace('_', ' '):<{width}}  {shown}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> None:
    """Print an aligned table; the columns named in `right` are set flush right.

    Where it is too wide its columns move together, then names fold, then all do. Piped, it is
    plain and on one line a row.
    """
    from rich.table import Table
    from rich.text import Text

    piped = not sys.stdout.isatty()
    console = safe_console(width=100_000 if piped else None)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in right.split() else "left"
        folds = not piped and (index == 0 or column == "model")
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not folds)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    unbounded = console.options.update(max_width=100_000)
    table.collapse_padding = console.measure(table, options=unbounded).maximum > console.width
    if console.measure(table, options=unbounded).minimum > console.width:
        for each in table.columns:  # rather folded than cut
            each.no_wrap = False
    console.print(table)


def safe_console(*, width: int | None = None, stderr: bool = False) -> "SafeConsole":
    """Return a rich console for tables, progress bars and live views.

    `width` is in columns, None that of the terminal.
    """
    from tuillm.terminal.safe_console import SafeConsole

    return SafeConsole(width=width, stderr=stderr)


def _safe_json(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON in which what acts on a terminal, or cannot be encoded, is escaped."""
    return shown_json(value, indent=indent, ascii_only=ascii_only or not takes_utf8(sys.stdout))
