"""What a person is told: errors of one line with the next command to type, in safe characters.

Knows nothing of the rest of the program; every package may raise these.
"""

import re
from collections.abc import Iterable

# C0 and C1 controls but for tab and newline, the separators that some terminals take for a line's
# end, and the marks that change the direction of text
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# beyond so many letters nobody's slip is looked for: it takes time with their square
_LONGEST_WORD = 200


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


class Interrupted(TuillmError):
    """The person asked for an end before there was anything to keep."""


class DiskError(TuillmError):
    """What a disk refused; whatever was there before is as it was.

    With `may_pass` it may take it later: when there is room again, or it has recovered.
    """

    may_pass = False


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the entry of `known` that `word` is most likely a slip of, or "" when there is none.

    Case, dashes and underscores count for nothing. A slip is a beginning of one entry alone, or a
    letter more, less, other or swapped: one in up to five letters, two in up to ten, else three.
    Where several entries are as near at two letters or more, none of them is meant for sure.
    """
    plain = _letters(word)
    by_letters = {_letters(name): name for name in reversed(list(known))}
    if plain in by_letters:
        return by_letters[plain]
    begun = [name for name in by_letters if name.startswith(plain)] if len(plain) > 2 else []
    if begun:
        return by_letters[begun[0]] if len(begun) == 1 else ""
    most = 0 if len(plain) < 3 else 1 if len(plain) < 6 else 2 if len(plain) < 11 else 3
    near = sorted(
        (slips, name)
        for name in reversed(by_letters)
        if (slips := _slips(plain, name, most)) <= most
    )
    if not near or (near[0][0] > 1 and [slips for slips, _ in near].count(near[0][0]) > 1):
        return ""
    return by_letters[near[0][1]]


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the nearest of `known`, else `otherwise`."""
    match = nearest(word, known)
    return f"did you mean {brief(match)}?" if match else otherwise


def printable(text: str) -> str:
    """Return `text` without characters that act on a terminal; safe on pieces of a stream.

    GPT-2's vocabulary holds ESC and 29 other control tokens, any model can spell them byte by
    byte, and so can a file's name: shown raw they move the cursor or turn the text around. Lone
    surrogates, which no stream can encode, become U+FFFD.
    """
    return _SURROGATES.sub("\ufffd", _UNSAFE.sub("", text))


def one_line(text: str) -> str:
    """Return `text` as `printable` does, runs of whitespace made one blank: for rows."""
    return " ".join(printable(text).split())


def brief(value: object) -> str:
    """Return `repr(value)`, the middle of a long one left out: a refused value in one line."""
    try:
        return shorten(repr(value))
    except (ValueError, RecursionError):  # more digits than Python prints, or nested too deeply
        return f"that {type(value).__name__}"


def shorten(text: str) -> str:
    """Return a text of at most 80 characters, the middle of a longer one left out."""
    return text if len(text) <= 80 else f"{text[:40]}...{text[-20:]}"


def _letters(word: str) -> str:
    return re.sub(r"[-_.\s]", "", word.lower())


def _slips(word: str, name: str, most: int) -> int:
    """How many letters stand between two words, swapped neighbours counting once; > most: more."""
    if abs(len(word) - len(name)) > most or len(word) > _LONGEST_WORD:
        return most + 1
    if sorted(word) == sorted(name) and word[0] == name[0]:  # the same letters in disorder
        return 1
    before: list[int] = []
    row = list(range(len(name) + 1))
    for i, letter in enumerate(word, 1):
        last, before, row = before, row, [i]
        for j, other in enumerate(name, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == name[j - 2] and word[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
