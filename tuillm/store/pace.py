"""How fast bytes come or go, and how long the rest will take. Knows counts and a clock."""

import time
from collections import deque

# the rate is that of the last seconds; the first moment says nothing yet
_OVER, _AFTER = 5.0, 0.5


class Pace:
    """The rate of a transfer, of which `add` is told the bytes."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        self._moved = 0

    def add(self, moved: int) -> None:
        """Count bytes that have moved; those that went back are none."""
        self._moved += max(moved, 0)

    def measure(self, left: int) -> tuple[float | None, float | None]:
        """Return bytes per second, and the seconds that the `left` bytes take; None: unknown."""
        if not self._moved:  # asking the server is no part of the rate
            return None, None
        now = time.monotonic()
        self._marks.append((now, self._moved))
        while now - self._marks[0][0] > _OVER and len(self._marks) > 2:
            self._marks.popleft()
        began, before = self._marks[0]
        rate = (self._moved - before) / (now - began) if now - began >= _AFTER else 0.0
        return (rate, left / rate) if rate else (None, None)
