"""What a program of anybody's may use up: seconds, characters, the size of one value.

A thread cannot be killed, so every step of the program has to ask here before it does anything that
could be large. Knows plain values; knows no template.
"""

import time
from collections.abc import Mapping

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

_SECONDS = 1.0  # of the thread's own time; an ordinary conversation takes a thousandth of that
_CHARACTERS = 4 << 20  # of one value; four times what comes in may be made in one piece
_IN_ALL = 4  # times what one value may have, and with each character that comes in
_PER_CHARACTER = 200  # a text that grows by a turn at a time is copied as often as there are turns
_PER_ELEMENT = 16
_DEEPEST = 40
_BITS = 256
_PLAIN = (str, int, float, type(None), Undefined)


class Budget:
    """What one rendering may still use up, by how many characters come into it.

    Raises SecurityError where that is exceeded.
    """

    def __init__(self, characters: int = 0) -> None:
        self.largest = _CHARACTERS + 4 * characters
        self._left = _IN_ALL * self.largest + _PER_CHARACTER * characters
        self._seconds = _SECONDS + characters / 1e6
        self._began, self._used = time.perf_counter(), time.thread_time()

    def tick(self) -> None:
        """Count a step; time that others have on a busy machine does not count."""
        if time.perf_counter() - self._began < self._seconds:
            return
        if time.thread_time() - self._used >= self._seconds:
            raise SecurityError("it does not come to an end")

    def afford(self, size: int) -> None:
        """Ask for a value of so many characters before it is made."""
        if size > self.largest:
            raise SecurityError("it writes more than a conversation has")

    def spend(self, size: int) -> None:
        """Count a value of so many characters that was made."""
        self.afford(size)
        self._left -= size
        if self._left < 0:
            raise SecurityError("it writes more than a conversation has")

    def bounded(self, value: object) -> object:
        """Return a value that was made, if it is of a fair size."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, int):
            if value.bit_length() > _BITS:
                raise SecurityError("it computes with numbers that no conversation has")
        elif isinstance(value, list | tuple | dict):
            self.spend(self.weigh(value))
        return value

    def text(self, value: object) -> str:
        """Return the text of a plain value, or of a container of such; others have none."""
        if isinstance(value, list | tuple | dict):
            self.weigh(value, plain=True)
        elif not isinstance(value, _PLAIN):
            raise SecurityError(f"it writes out a {type(value).__name__}, which is no text")
        text = str(value)
        self.spend(len(text))
        return text

    def weigh(self, value: object, *, plain: bool = False) -> int:
        """Return the characters of a value and all that it holds; `plain` lets nothing else in."""
        total, waiting = 0, [(value, 0)]
        while waiting:
            each, depth = waiting.pop()
            total += _PER_ELEMENT
            if isinstance(each, str):
                total += len(each)
            elif isinstance(each, list | tuple | Mapping):
                if depth > _DEEPEST:
                    raise SecurityError("it puts lists into lists without an end")
                inside = [*each, *each.values()] if isinstance(each, Mapping) else each
                self.afford(total + _PER_ELEMENT * (len(inside) + len(waiting)))
                waiting += [(one, depth + 1) for one in inside]
            elif plain and not isinstance(each, _PLAIN):
                raise SecurityError(f"it writes out a {type(each).__name__}, which is no text")
            self.afford(total)
        return total
