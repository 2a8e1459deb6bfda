"""JSON read while it comes: values out of a text in pieces, of which only one is in memory.

Knows JSON's grammar; knows nothing of what stands in it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tuillm.text.sources.open_item import LONGEST, MB

_BLANKS = re.compile(r"[ \t\n\r]*+")
_LIST_OF = re.compile(r"\[[ \t\n\r]*+(.)", re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder()
# where a piece ends, what is cut looks wrong: "-Infini", an escape, an exponent
_TORN = 16


class Damaged(Exception):
    """A text that is no JSON, or whose end is missing."""


class JsonText:
    """A JSON text in pieces, and the position that has been reached in it.

    `surrogates` tells whether escapes of surrogates, halves or pairs, stood in the last value.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        self.surrogates = False
        self._pieces = iter(pieces)
        self._text, self._at, self._passed, self._ended = "", 0, 0, False

    @property
    def position(self) -> int:
        """How many characters have been passed."""
        return self._passed + self._at

    def peek(self) -> str:
        """Return the next character that is no blank, without passing it; '' at the end."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill(1)

    def opens_objects(self) -> bool:
        """Whether a list comes whose first element is an object."""
        while self.peek() == "[":
            found = _LIST_OF.match(self._text, self._at)
            if found or self._ended or len(self._text) - self._at > LONGEST:
                return bool(found and found[1] == "{")
            self._fill(MB)
        return False

    def value(self) -> Any:
        """Return the next value; raises Damaged, also for one longer than LONGEST."""
        if not self.peek():
            raise Damaged("it ends too early")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                left = 0 if "Unterminated" in error.msg else len(self._text) - error.pos
                if self._ended and left == 0:
                    raise Damaged("it ends too early") from None
                if self._ended or left > _TORN:
                    where = self._passed + error.pos + 1
                    raise Damaged(f"{error.msg} at character {where:,}") from None
            except RecursionError:
                raise Damaged("it is nested too deeply") from None
            except ValueError:
                raise Damaged(
                    f"a number of too many digits behind character {self.position:,}"
                ) from None
            else:
                if end < len(self._text) or self._ended:  # else a number may go on
                    self.surrogates = bool(_HALF.search(self._text, self._at, end))
                    self._at = end
                    return value
            if len(self._text) - self._at > LONGEST:
                raise Damaged(
                    f"what begins at character {self.position + 1:,} is longer than "
                    f"{LONGEST // MB} MB"
                )
            self._fill(len(self._text) - self._at)

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the list that comes; raises Damaged."""
        self._need("[")
        if self._take("]"):
            return
        while True:
            yield self.value()
            if self._take("]"):
                return
            self._need(",")

    def members(self) -> Iterator[str]:
        """Yield the names in the object that comes; whoever iterates passes each value."""
        self._need("{")
        if self._take("}"):
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise Damaged(f"a name is missing before character {self.position:,}")
            self._need(":")
            yield name
            if self._take("}"):
                return
            self._need(",")

    def skip(self) -> None:
        """Pass the value that comes; a list of any length."""
        if self.peek() == "[":
            for _ in self.elements():
                pass
        else:
            self.value()

    def _take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self._at += 1
        return True

    def _need(self, character: str) -> None:
        if not self._take(character):
            raise Damaged(
                f"no {character} at character {self.position + 1:,}"
                if self.peek()
                else "it ends too early"
            )

    def _fill(self, least: int) -> None:
        """Read `least` characters more, and let go of those that have been passed."""
        parts = [self._text[self._at :]]
        while least > 0 and not self._ended:
            piece = next(self._pieces, None)
            self._ended = piece is None
            parts.append(piece or "")
            least -= len(piece or "")
        self._passed += self._at
        self._text, self._at = "".join(parts), 0
