"""The figures of a chat on one line: below the prompt, and on the last row while a reply streams.

Knows what is worth showing and how to fit it into a window; counts tokens and seconds. Draws on
the last row of a terminal and gives the cursor back; that the row is free is `stream`'s business.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from wcwidth import wcwidth

from tuillm.errors import printable

if TYPE_CHECKING:
    from prompt_toolkit.output import ColorDepth, Output
    from prompt_toolkit.styles import BaseStyle

Fragments = list[tuple[str, str]]

_BAR = "class:bottom-toolbar"
_NAME, _VALUE, _WARNING = f"{_BAR}.name", f"{_BAR}.value", f"{_BAR}.value class:warning"
_NEARLY_FULL = 0.9


class Pace:
    """How fast a reply comes: seconds to the first token, and tokens a second from there on."""

    def __init__(self) -> None:
        self.tokens = 0
        self.first: float | None = None
        self._began = self._newest = time.perf_counter()
        self._waited = 0.0

    def token(self) -> None:
        """Count a token that has just come."""
        self._newest = time.perf_counter()
        self.tokens += 1
        if self.first is None:
            self.first = self._newest - self._began - self._waited

    def went_on(self) -> None:
        """Leave the time since the newest token out of the count: the reply was paused."""
        now = time.perf_counter()
        self._waited += now - self._newest
        self._newest = now

    @property
    def per_second(self) -> float | None:
        """Tokens a second, None before the second one."""
        if self.first is None or self.tokens < 2:
            return None
        seconds = self._newest - self._began - self._waited - self.first
        return (self.tokens - 1) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class Facts:
    """What the line tells; what is not known yet is None, or 0 for the context."""

    model: str
    temperature: float
    top_k: int
    first: float | None = None
    per_second: float | None = None
    used: int = 0
    size: int = 0
    note: str = ""


def fit(facts: Facts, columns: int) -> Fragments:
    """Return the line as styled pieces: in full words, in short ones, or as many as there is room.

    The context goes last of all, the time to the first token first.
    """
    for short in (False, True):
        parts = _parts(facts, short)
        if _cells(parts) <= columns:
            break
    # the least important first
    for name in ("first", "speed", "top_k", "model", "temperature"):
        if _cells(parts) <= columns:
            break
        parts.pop(name, None)
    return _cut([piece for part in parts.values() for piece in part], columns)


class StatusLine:
    """Draws a line on the last row of the terminal; the text's cursor comes back where it was."""

    def __init__(
        self,
        output: "Output",
        style: "BaseStyle",
        depth: "ColorDepth",
        content: Callable[[int], Fragments],
    ) -> None:
        """`content` gives the line for so many columns."""
        self._output, self._depth = output, depth
        self._content = content
        self._pen = lru_cache(64)(lambda name: style.get_attrs_for_style_str(f"{_BAR} {name}"))
        self._line: Fragments | None = None

    def update(self, columns: int) -> bool:
        """Ask for the line; return whether it is another one than before."""
        # what is written in the last column makes some terminals scroll
        line = _cut(self._content(columns - 1), columns - 1)
        changed, self._line = line != self._line, line
        return changed

    def draw(self) -> None:
        """Send the line, and the cursor's way there and back.

        Without wrapping: a line that the window has just become too narrow for would scroll.
        """
        output = self._output
        output.write_raw("\x1b7\x1b[999;1H")
        output.disable_autowrap()
        for style, text in self._line or []:
            output.set_attributes(self._pen(style), self._depth)
            output.write(printable(text))
        output.set_attributes(self._pen(""), self._depth)
        output.erase_end_of_line()
        output.enable_autowrap()
        output.write_raw("\x1b8")


def _parts(facts: Facts, short: bool) -> dict[str, Fragments]:
    """The parts of the line by name, each with the blanks before it."""

    def part(before: str, value: str, after: str = "", style: str = _VALUE) -> Fragments:
        return [("", f"  {before}"), (style, value)] + ([("", after)] if after else [])

    top_k = f"{facts.top_k}" if facts.top_k else "all"
    parts = {
        "model": [(_NAME, f" {facts.model}")],
        "temperature": part("temp " if short else "temperature ", f"{facts.temperature:g}"),
        "top_k": part("top_k ", top_k),
    }
    if facts.first is not None:
        parts["first"] = part("" if short else "first token ", f"{facts.first:.2f}", " s")
    if facts.per_second:
        parts["speed"] = part("", f"{facts.per_second:,.0f}", " tok/s" if short else " tokens/s")
    if facts.size:
        style = _WARNING if facts.used >= _NEARLY_FULL * facts.size else _VALUE
        used = f"{facts.used}/{facts.size}"
        parts["context"] = part("" if short else "context ", used, style=style)
    if facts.note:
        parts["note"] = part("", facts.note, style=_NAME)
    return parts


def _cells(parts: dict[str, Fragments]) -> int:
    return sum(_width(text) for part in parts.values() for _, text in part)


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(max(wcwidth(char), 0) for char in text)


def _cut(pieces: Fragments, columns: int) -> Fragments:
    """Leave out what goes beyond the window."""
    kept: Fragments = []
    for style, text in pieces:
        cells = _width(text)
        while cells > columns:
            text = text[:-1]
            cells = _width(text)
        columns -= cells
        if text:
            kept.append((style, text))
    return kept
