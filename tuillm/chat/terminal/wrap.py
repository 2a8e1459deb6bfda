"""Breaks a stream of text into rows of a terminal, between words; says what to send to draw it.

A word is shown as it grows. When it crosses the edge, it is erased and goes on below. What may be
of another width on another terminal, emoji above all, is never counted on to find the way back:
such a row is written anew without the word. Knows cells, rows and a few control sequences; writes
nothing itself.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from unicodedata import category

from wcwidth import wcwidth

_ENDS = "\n\u2028\u2029"
# those that a row may be broken at; a zero-width space is one of them
_BLANKS = " \t\u1680\u2000-\u2006\u2008-\u200b\u205f\u3000"
_PIECES = re.compile(f"[{_ENDS}]|[{_BLANKS}]+|[^{_ENDS}{_BLANKS}]+")
_BLANK = re.compile(f"[{_BLANKS}]")
# letters and signs of one cell that join nothing: Latin, Greek, Cyrillic, dashes, quotes, dots
_PLAIN = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0377\u0384-\u0482\u048a-\u052f\u2010-\u2027]+"
)
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_TAB = 8
# makes a row below the cursor's, by scrolling if need be; the cursor stays in the first column
_FREE_ROW = "\n\x1b[A"
_ZWJ, _EMOJI_STYLE = "\u200d", "\ufe0f"
# small kana and the like, which do not begin a row any more than a full stop does
_CLINGING = set("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶゝゞヽヾ々〻")
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
_JOINING_PROGRAMS = {"iTerm.app", "WezTerm", "ghostty"}
_JOINING_TERMS = ("xterm-kitty", "xterm-ghostty", "foot", "wezterm")


def joins_emoji(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is known to draw a sequence such as 👩‍💻 as one emoji of two cells."""
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    return program in _JOINING_PROGRAMS or term.startswith(_JOINING_TERMS)


class Wrap:
    """Where a stream goes on rows of `width` cells.

    `row` is what stands on the row where the cursor is; with `free_below` there is always a free
    row below that one, for others to write on. `joins` tells whether an emoji of several
    characters takes two cells, None to find out. Where that is not known the larger width counts:
    a row that is broken too early does no harm, one that the terminal breaks itself does.
    """

    def __init__(self, width: int, joins: bool | None = None) -> None:
        self.width = max(width, 1)
        self.free_below = False
        self._lost = False
        self._joins = joins_emoji() if joins is None else joins
        self._begin_row()

    @property
    def full(self) -> bool:
        """Whether the row has no cell left: the cursor then stands on the last one, or behind."""
        return self._start + self._cells >= self.width

    @property
    def lost(self) -> bool:
        """Whether nobody knows which column the cursor is in, until the row ends."""
        return self._lost

    def feed(self, text: str) -> str:
        """Return what to send to show some more text, which must be free of control characters."""
        if self._fits(text):
            self._row_parts(text)
            return text
        sent: list[str] = []
        for piece in _PIECES.findall(text):
            if self._fits(piece):
                self._row_parts(piece)
                sent.append(piece)
            elif piece[0] in _ENDS:
                self._next_row(sent)
            elif _BLANK.match(piece):
                self._blanks(sent, piece)
            elif self._lost:
                self._letters_astray(sent, piece)
            else:
                self._letters(sent, piece)
        return "".join(sent)

    def resize(self, width: int) -> str:
        """Return what to send after the window has got another width.

        A row that fits is written anew and what stood below it erased. One that does not has been
        cut or folded, terminals differ in which: its last word is finished wherever it is, and the
        next one begins a new row.
        """
        self.width = max(width, 1)
        if not self._lost and self._start + self._cells <= self.width:
            return self.lift() + self.lay(self.width)
        self._lost = True
        sent: list[str] = []
        if not self._word:
            self._next_row(sent)
        return "".join(sent)

    def lift(self) -> str:
        """Return what takes the row, and all below it, off the screen; the cursor stays there."""
        if not self._lost:
            return "\r\x1b[J"
        sent: list[str] = []
        self._next_row(sent)
        return "".join(sent)

    def lay(self, width: int) -> str:
        """Return what writes the row, from the first column on, on rows of `width` cells."""
        text, self.width = self.row, max(width, 1)
        self._begin_row()
        return (_FREE_ROW if self.free_below else "") + self.feed(text)

    def end(self) -> str:
        """Return what ends the row, if anything stands on it, and erases what is below."""
        shown = bool(self.row) or self._lost
        self.free_below = False
        sent: list[str] = []
        if shown:
            self._next_row(sent)
        return "".join([*sent, "\x1b[J"])

    def _begin_row(self, word: str = "", cells: int = 0) -> None:
        self.row = self._word = word
        self._start, self._cells = 0, cells
        self._lost = False

    def _fits(self, text: str) -> bool:
        """Whether text is plain, has no line end, and stays within the row: the common case."""
        return (
            self._start + self._cells + len(text) <= self.width
            and not self._lost
            and self._cells == len(self._word)
            and _PLAIN.fullmatch(text) is not None
        )

    def _row_parts(self, text: str) -> None:
        self.row += text
        before, blank, word = text.rpartition(" ")
        if blank:
            self._start += self._cells + len(before) + 1
            self._word, self._cells = word, len(word)
        else:
            self._word += text
            self._cells += len(text)

    def _next_row(self, sent: list[str]) -> None:
        # the blank is there to be erased: in the last column, erasing takes what was just written
        sent.append(f" \x1b[J{self._end_row}" if self._lost else self._end_row)
        self._begin_row()

    @property
    def _end_row(self) -> str:
        return f"\r\n\x1b[J{_FREE_ROW}" if self.free_below else "\r\n"

    def _blanks(self, sent: list[str], piece: str) -> None:
        """Show blanks as far as the row goes; at its end they are not seen."""
        if self._lost:
            self._next_row(sent)
            return
        self._end_word()
        for blank in piece:
            cells = _TAB - self._start % _TAB if blank == "\t" else _most(blank)
            shown = " " * cells if blank == "\t" else blank
            if self._start + cells <= self.width:
                sent.append(shown)
                self.row += shown
                self._start += cells

    def _letters(self, sent: list[str], piece: str) -> None:
        for char in piece:
            clings = _clings(self._word, char)
            if not clings and self._word and _may_part(self._word, char):
                self._end_word()
            if not self._word and wcwidth(char) <= 0:
                self.row += char  # an accent without a letter: it takes no cell and is no word
                sent.append(char)
                continue
            cells = self._cells_with(char, clings)
            # twice when the word, alone on a row, is still too long with one more
            while self._start + cells > self.width and self._carry(sent, clings):
                cells = self._cells_with(char, clings)
            self.row += char
            self._word += char
            self._cells = cells
            sent.append(char)

    def _letters_astray(self, sent: list[str], piece: str) -> None:
        """Finish the word whose column is not known; then rows are counted again."""
        for index, char in enumerate(piece):
            if not _clings(self._word, char) and _may_part(self._word, char):
                self._next_row(sent)
                self._letters(sent, piece[index:])
                return
            self._word += char
            sent.append(char)

    def _carry(self, sent: list[str], clings: bool) -> bool:
        """Begin a new row with the word that crossed the edge, or break a word longer than a row.

        Not within a character: what `clings` takes the beginning of its character with it.
        Returns False when nothing can be done: the row is empty.
        """
        tail, cells = self._word, self._cells
        if self._start == 0:
            tail = tail[_last_character(tail) :] if clings else ""
            if not self._word:
                return False
            if tail == self._word:
                tail = ""  # it is wider than a row
            cells = self._measure(tail)
        if tail:
            sent.append(self._erased(tail, cells))
        sent += self._end_row, tail
        self._begin_row(tail, cells)
        return True

    def _erased(self, tail: str, cells: int) -> str:
        """Return what takes the end of the row off the screen."""
        kept = self.row[: len(self.row) - len(tail)]
        if kept.endswith(" ") and _PLAIN.fullmatch(tail):
            # from behind the last column some terminals go one cell too far: onto the blank
            return f"\x1b[{cells}D\x1b[K"
        return f"\r{kept.rstrip(' ')}\x1b[K"

    def _end_word(self) -> None:
        self._start += self._cells
        self._word, self._cells = "", 0

    def _cells_with(self, char: str, clings: bool) -> int:
        """Cells of the word with one more character."""
        if not (clings and self._joins):
            return self._cells + _most(char)
        last = self._word[_last_character(self._word) :]
        return self._cells - self._measure(last) + self._measure(last + char)

    def _measure(self, text: str) -> int:
        """Cells of one character with all that clings to it, or of none."""
        cells = sum(map(_most, text))
        emoji = self._joins and text and (wcwidth(text[0]) == 2 or _EMOJI_STYLE in text)
        return min(cells, 2) if emoji else cells


@lru_cache(4096)
def _most(char: str) -> int:
    """The most cells that a terminal may take for a character that follows another one."""
    if char == _EMOJI_STYLE or category(char) == "Mc":
        return 1  # may widen what it follows
    return max(wcwidth(char), 0)


def _clings(word: str, char: str) -> bool:
    """Whether a character is a part of the one before it: an accent, the next person of a family.

    Also a colour of skin, and the second letter of a flag.
    """
    if not word:
        return False
    if wcwidth(char) <= 0 or word[-1] == _ZWJ or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    return char in _FLAG_LETTERS and (len(word) - len(word.rstrip(_FLAG_LETTERS))) % 2 == 1


def _last_character(word: str) -> int:
    """Return where the last character begins, all that clings to it included."""
    index = len(word) - 1
    while index > 0 and _clings(word[:index], word[index]):
        index -= 1
    return index


def _may_part(word: str, char: str) -> bool:
    """Whether a row may end between a word and a character: beside ideographs and emoji.

    Not before what closes, nor after what opens.
    """
    before = word[_last_character(word)]
    if not (_ideographic(before) or _ideographic(char)):
        return False
    closes = category(char) in ("Pe", "Pf", "Po", "Lm") or char in _CLINGING
    return not closes and category(before) not in ("Ps", "Pi")


def _ideographic(char: str) -> bool:
    return wcwidth(char) == 2 and not _HANGUL.match(char)
