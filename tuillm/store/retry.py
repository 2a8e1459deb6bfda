"""Does again, after growing waits, what failed for a reason that may pass by itself.

Knows no network: who asks a server says what is worth another attempt, by TransientError.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tuillm.errors import TuillmError

# attempts in a row that bring nothing new, with 0.5, 1, 2, 4 and 8 seconds in between
ATTEMPTS = 6
_LONGEST_WAIT = 300.0

# called all the time with the bytes that have just come; what it raises ends the work
Tick = Callable[[int], None]
# called with words for a person while there is nothing to do but wait, then with ''
Note = Callable[[str], None]
Result = TypeVar("Result")


class TransientError(Exception):
    """What may well work the next time; `wait` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


def retry_with_backoff(
    action: Callable[[], Result],
    got_on: Callable[[], bool],
    tick: Tick,
    note: Note,
    failure: str = "",
    kept: Callable[[], bool] = lambda: False,
    attempts: int = ATTEMPTS,
) -> Result:
    """Return what `action` returns; where it raises TransientError, wait and do it again.

    `got_on` tells whether the last attempt achieved something, which makes up for those before.
    Raises TuillmError with `failure` and the reason when `attempts` in a row did not; `kept` tells
    whether something has come by then.
    """
    vain = 0
    while True:
        try:
            return action()
        except TransientError as error:
            vain = 0 if got_on() else vain + 1
            if vain >= attempts or error.wait > _LONGEST_WAIT:
                words = f"{failure}: {error.reason}" if failure else error.reason
                when = f" in {error.wait:.0f} seconds" if error.wait else " later"
                rest = "; what has come is kept" if kept() else ""
                raise TuillmError(words, f"try again{when}{rest}") from None
            _wait(max(error.wait, 0.25 * 2**vain), error.reason, tick, note)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return for how many seconds a server asks to be left alone, 0 when it does not say."""
    plain = str(headers.get("Retry-After", "")).strip()
    if plain.isascii() and plain.isdigit():
        return float(plain)
    window = re.search(r";\s*t\s*=\s*(\d+)", str(headers.get("RateLimit", "")))
    return float(window[1]) if window else 0.0


def _wait(seconds: float, reason: str, tick: Tick, note: Note) -> None:
    note(f"{reason}; trying again")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        tick(0)
    note("")
