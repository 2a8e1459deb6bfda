"""What a person is told when something cannot be done: one line, and the next command to type.

Knows nothing of the rest of the program; every package may raise these.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TuillmError(Exception):
    """A failure that the person can understand: what is wrong, and in `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(TuillmError):
    """The command or a setting was typed wrongly; nothing was started."""

    exit_code = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the entry of `known` most like `word`, or "" when none is alike."""
    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the nearest of `known`, else `otherwise`."""
    match = nearest(word, known)
    return f"did you mean {match!r}?" if match else otherwise
