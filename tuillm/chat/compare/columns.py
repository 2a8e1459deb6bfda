"""A comparison on a terminal: columns that grow side by side, or one below the other.

While replies grow they have the other screen of the terminal for themselves, where each column
shows its newest rows; then that screen goes away and the whole is printed. A row's columns are
placed by the terminal, so that no character, however wide it is drawn, moves its neighbours.
Knows rich and the keyboard; how replies come is `comparison`'s business.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

from prompt_toolkit.input import Input, create_input
from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

from tuillm.chat.compare.comparison import Comparison, OwnPrompt, Result, compare, compare_models
from tuillm.chat.compare.report import (
    NOTHING,
    as_text,
    figures,
    foot_facts,
    head_facts,
    setting_facts,
)
from tuillm.chat.terminal.ctrl_c import Interrupts
from tuillm.chat.terminal.reply_keys import ReplyKeys
from tuillm.chat.terminal.wrap import Wrap
from tuillm.config import SamplingConfig
from tuillm.errors import printable
from tuillm.store.registry import Model
from tuillm.terminal.safe_console import SafeConsole
from tuillm.theme import theme_for

if TYPE_CHECKING:
    from tuillm.generation import Sampler

__all__ = ["ColumnsView", "Comparison", "Result", "Rows", "compare", "show_comparison"]

# a cell is a text and the column of the window that it begins at
Row = list[tuple[int, Text]]

# two models stand side by side from 60 columns on
_NARROWEST = 30
_BETWEEN = 3
_PROMPT_ROWS = 3
_DRAW_EVERY = 1 / 15
_ROLES = ("primary", "secondary", "accent", "success")
_KEYS = "Esc or Ctrl-C stops, Space pauses"
_PAUSED = "paused: Space goes on, Esc stops"
# what a Wrap sends: ends of rows, ways back within a row, text
_SENT = re.compile(r"(\r\n)|(\r)|\x1b\[(\d+)D|\x1b\[K|([^\r\x1b]+)")


def show_comparison(
    models: "Sequence[tuple[Model, Sampler]]",
    prompt: str,
    config: SamplingConfig,
    *,
    prompts: Sequence[OwnPrompt] = (),
    console: Console | None = None,
    input: Input | None = None,
    interrupts: Interrupts | None = None,
) -> list[Result]:
    """Let models continue a prompt, and show it; return what each of them said.

    With `prompts`, one a model, each reads that instead. Esc or Ctrl-C stops all of them and keeps
    what was said, Space pauses. Without a terminal, or on one that cannot be drawn on, plain text
    is printed at the end. `input` is the keyboard: a chat gives its own, and finds there what was
    typed ahead; `interrupts` are its ears for Ctrl-C.
    """
    console = console or SafeConsole()
    comparison = compare_models(models, prompt, config, prompts)
    if not console.file.isatty() or console.is_dumb_terminal:
        comparison.run()
        console.file.write(as_text(comparison))
        return comparison.results
    view = ColumnsView(console, comparison)
    keyboard = input or create_input(always_prefer_tty=True)
    with view.live(), ReplyKeys(keyboard, comparison.config, view.aside, interrupts) as keys:
        for which, token in comparison:
            view.take(which, token.text)
            for _ in keys.events(view.draw):
                view.paused = keys.paused
            if keys.stopped:
                comparison.close()
    view.print_whole()
    return comparison.results


class Rows:
    """The rows that a growing text makes in a column of `width` cells, words whole."""

    def __init__(self, width: int, text: str = "") -> None:
        self._wrap = Wrap(width)
        self._done: list[str] = []
        self._row = ""
        self.feed(text)

    def feed(self, text: str) -> None:
        """Add some more text; what would act on a terminal is left out."""
        for end, back, cells, shown in _SENT.findall(self._wrap.feed(printable(text))):
            if end:
                self._done.append(self._row.rstrip(" "))
            if end or back:
                self._row = ""
            elif cells:
                self._row = self._row[: -int(cells)]
            self._row += shown

    def newest(self, count: int | None = None) -> list[str]:
        """Return the last `count` rows, or all of them."""
        rows = self._done if count is None else self._done[-count:]
        rows = [*rows, self._row] if self._row else rows
        return rows if count is None else rows[-count:]


class ColumnsView:
    """Draws a comparison that grows: `with view.live():` around it, then `print_whole`."""

    def __init__(self, console: Console, comparison: Comparison) -> None:
        self.paused = False
        self._console, self._comparison = console, comparison
        self._theme = theme_for(console.color_system)
        self._width, self._size = 0, console.size
        self._columns: list[Rows] = []
        self._drawn = 0.0

    def take(self, which: int, text: str) -> None:
        """Add to a column, and draw if it is time."""
        if self._columns:
            self._columns[which].feed(text)
        if time.perf_counter() - self._drawn >= _DRAW_EVERY:
            self.draw()

    def draw(self) -> None:
        """Draw the newest rows as the window is now."""
        self._size = self._console.size
        width, height = self._size
        last = self._line(_PAUSED if self.paused else _KEYS, "warning" if self.paused else "muted")
        rows = [*self._rows(height - 1), *[[] for _ in range(height)]][: height - 1] + [last]
        self._console.print(_Picture(rows, in_place=True), end="", crop=False)
        self._drawn = time.perf_counter()

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the other screen of the terminal until the block ends."""
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        try:
            self.draw()
            yield
        finally:
            # for terminals without another screen
            self._console.control(Control.home(), Control.clear())
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Show the usual screen until the block ends."""
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)
        try:
            yield
        finally:
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
            self.draw()

    def print_whole(self) -> None:
        """Print all of all replies where the cursor is."""
        self._size = self._console.size
        settings = ", ".join(setting_facts(self._comparison.config))
        rows = [*self._rows(None), [], *self._lines(settings, "muted")]
        self._console.print(_Picture(rows), end="", crop=False)

    def _rows(self, height: int | None) -> list[Row]:
        """All rows, or `height` of them at most."""
        count = len(self._comparison.results)
        # the last column of the window stays free: what is written there makes some scroll
        beside = self._size.width >= _NARROWEST * count
        between = _BETWEEN * (count - 1)
        width = (self._size.width - 1 - between) // count if beside else self._size.width - 1
        self._fit(max(width, 1))
        rows = self._beside(height) if beside else self._below(height)
        return rows if height is None else rows[max(len(rows) - height, 0) :]

    def _fit(self, width: int) -> None:
        """Break all texts anew when the columns have got another width."""
        if width != self._width:
            self._width = width
            self._columns = [Rows(width, result.text) for result in self._comparison.results]

    def _beside(self, height: int | None) -> list[Row]:
        """Heads, newest rows and feet side by side; in a window the feet stay where they are."""
        every = range(len(self._columns))
        top = [*self._prompt(), []]
        heads = self._across([self._head(which) for which in every])
        feet = self._across([self._foot(which, height is None) for which in every])
        room = None
        if height is not None:
            room = height - len(heads) - len(feet) - 2
            if room < 2 * len(top):  # the replies need it more
                top = []
            room = max(room - len(top), 1)
        blank = self._across([[Text()] for _ in every])
        newest = self._across([self._newest(which, room) for which in every])
        return [*top, *heads, *blank, *newest, *blank, *feet]

    def _below(self, height: int | None) -> list[Row]:
        """One model below the other; in a window each has the same share of rows."""
        parts = [] if height is not None else [self._prompt()]
        for which in range(len(self._columns)):
            texts, room = self._head(which), None
            if height is not None:
                room = max(height // len(self._columns) - len(texts) - 1, 1)
            texts += self._newest(which, room)
            if height is None:
                texts += [Text(), *self._foot(which, True)]
            parts.append([[(0, text)] for text in texts])
        return [
            row for number, part in enumerate(parts) for row in ([[], *part] if number else part)
        ]

    def _newest(self, which: int, room: int | None) -> list[Text]:
        """The newest rows of a reply, as many as there is room for, and blank ones below them."""
        rows = [Text(row) for row in self._columns[which].newest(room)]
        return rows + [Text()] * ((room or 0) - len(rows))

    def _across(self, columns: list[list[Text]]) -> list[Row]:
        """Lay lists of cells side by side, with a line between them."""
        line = Text("│", style=self._theme["muted"])
        rows: list[Row] = []
        for cells in zip_longest(*columns, fillvalue=Text()):
            row: Row = []
            for index, cell in enumerate(cells):
                start = index * (self._width + _BETWEEN)
                row += [(start - 2, line)] if index else []
                row.append((start, cell))
            rows.append(row)
        return rows

    def _head(self, which: int) -> list[Text]:
        result = self._comparison.results[which]
        role = _ROLES[which % len(_ROLES)]
        names = [
            Text(row, style=f"bold {self._theme[role]}")
            for row in Rows(self._width, result.name).newest()
        ]
        return names + self._packed(head_facts(result))

    def _foot(self, which: int, ended: bool) -> list[Text]:
        """The figures; in a window always two rows of them, or what is above would jump."""
        result = self._comparison.results[which]
        facts = foot_facts(result) if ended or result.finish else figures(result)
        rows = self._packed(facts)
        return rows if ended else (rows + [Text()] * 2)[: max(len(rows), 2)]

    def _packed(self, facts: list[str]) -> list[Text]:
        """Facts on as few rows as they need."""
        rows: list[str] = []
        for fact in facts:
            if rows and len(rows[-1]) + 2 + len(fact) <= self._width:
                rows[-1] += f"  {fact}"
            else:
                rows.append(fact)
        return [Text(row[: self._width], style=self._theme["muted"]) for row in rows]

    def _prompt(self) -> list[Row]:
        """The end of the prompt, as replies go on from there."""
        whole = self._comparison.prompt if self._comparison.prompt.strip() else NOTHING
        width = max(self._size.width - 3, 1)
        prompt = whole[-_PROMPT_ROWS * width :]  # more of it costs time for each picture
        rows = Rows(width, prompt).newest()
        cut = len(rows) > _PROMPT_ROWS or len(prompt) < len(whole)
        marks = ["…" if cut else "›", *[" "] * _PROMPT_ROWS]
        style = f"italic {self._theme['muted']}"
        return [
            [(0, Text(mark, style=style)), (2, Text(row, style=style))]
            for mark, row in zip(marks, rows[-_PROMPT_ROWS:], strict=False)
        ]

    def _lines(self, text: str, role: str) -> list[Row]:
        rows = Rows(max(self._size.width - 1, 1), text).newest()
        return [[(0, Text(row, style=self._theme[role]))] for row in rows]

    def _line(self, text: str, role: str) -> Row:
        return self._lines(text, role)[0]


class _Picture:
    """Rows of a screen; `in_place` from its top left corner on, over what stands there."""

    def __init__(self, rows: list[Row], in_place: bool = False) -> None:
        self._rows, self._in_place = rows, in_place

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, row in enumerate(self._rows):
            if self._in_place:
                yield Control(
                    (ControlType.CURSOR_MOVE_TO, 0, number), (ControlType.ERASE_IN_LINE, 2)
                )
            for column, text in row:
                if column:
                    yield Control.move_to_column(column)
                yield from text.render(console)
            if not self._in_place:
                yield Segment.line()
