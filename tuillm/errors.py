"""What a person is told: errors of one line with the next command to type, in safe characters.

Knows nothing of the rest of the program; every package may raise these.
"""

import re
from collections.abc import Iterable

# C0 and C1 controls but for tab and newline, the separators that some terminals take for a line's
# end, and the marks that change the direction of text
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


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
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the nearest of `known`, else `otherwise`."""
    match = nearest(word, known)
    return f"did you mean {match!r}?" if match else otherwise


def printable(text: str) -> str:
    """Return `text` without characters that act on a terminal; safe on pieces of a stream.

    GPT-2's vocabulary holds ESC and 29 other control tokens, any model can spell them byte by
    byte, and so can a file's name: shown raw they move the cursor or turn the text around. Lone
    surrogates, which no stream can encode, become U+FFFD.
    """
    return _SURROGATES.sub("\ufffd", _UNSAFE.sub("", text))


def shown(value: object, most: int = 60) -> str:
    """Return a value as it may stand in a line: as Python writes it, cut where it is long."""
    if isinstance(value, int) and abs(value) >= 10**most:
        return f"a number of more than {most} digits"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def one_line(text: str) -> str:
    """Return `text` as `printable` does, runs of whitespace made one blank: for rows."""
    return " ".join(printable(text).split())
