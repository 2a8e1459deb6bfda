"""The figures of a chat on one line: below the prompt, and on the last row while a reply streams.

Knows what is worth showing and how to fit it into a window; counts tokens and seconds. Draws on
the last row of a terminal and gives the cursor back; that the row is free is `stream`'s business.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
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
        self, output: "Output", style: "BaseStyle", depth: "ColorDepth",
        content: Callable[[int], Fragments],
    ) -> None:
        """`content` gives the line for so many columns."""
        self._output, self._style, self._depth = output, style, depth
        self._content = content
        self._drawn: Fragments | None = None

    def draw(self, columns: int, anew: bool = True) -> bool:
        """Send the line, the cursor's way there and back; tell whether anything was sent.

        Without `anew` only if it differs from what stands there. Without wrapping, for a line that
        a window has just become too narrow for would scroll the text.
        """
        content = _cut(self._content(columns - 1), columns - 1)
        if content == self._drawn and not anew:
            return False
        self._drawn = content
        self._output.write_raw("\x1b7\x1b[999;1H")
        self._output.disable_autowrap()
        for style, text in content:
            self._pen(style)
            self._output.write(printable(text))
        self._pen("")
        self._output.erase_end_of_line()
        self._output.enable_autowrap()
        self._output.write_raw("\x1b8")
        return True

    def _pen(self, style: str) -> None:
        attributes = self._style.get_attrs_for_style_str(f"{_BAR} {style}")
        self._output.set_attributes(attributes, self._depth)


def _parts(facts: Facts, short: bool) -> dict[str, Fragments]:
    """The parts of the line by name, each with the blanks before it."""

    def part(before: str, value: str, after: str = "", style: str = _VALUE) -> Fragments:
        return [("", f"  {before}"), (style, value), ("", after)]

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
    return sum(max(wcwidth(char), 0) for char in text)


def _cut(pieces: Fragments, columns: int) -> Fragments:
    """Leave out what goes beyond the window."""
    kept: Fragments = []
    for style, text in pieces:
        while text and _width(text) > columns:
            text = text[:-1]
        columns -= _width(text)
        if text:
            kept.append((style, text))
    return kept
