"""The one gate between what widgets draw and the terminal: no text acts on it.

Names, cards, logs and errors come out of anybody's files; a widget need not know. Works on the
lines as they are after layout, and keeps their widths: what it leaves out is as wide as nothing.
"""

from collections.abc import Iterable

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tuillm.errors import printable
from tuillm.terminal.plain_characters import ascii_wanted, in_ascii

# a line has no end of its own within it, and tabs were made blanks before it was measured
_WITHIN = str.maketrans("", "", "\n\t")


class SafeLines(LineFilter):
    """Leaves out what acts on a terminal, or cannot be encoded, from every line of every widget.

    Where the terminal's font has little more than letters, all is drawn in ASCII.
    """

    def __init__(self) -> None:
        super().__init__()
        self._plain = ascii_wanted()

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        safe = _safe(segments)
        return list(_plain(safe) if self._plain else safe)


def _safe(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        text = segment.text
        # nearly all of it is printed as it is: asking is ten times faster than replacing
        if segment.control or (text.isascii() and text.isprintable()):
            yield segment
        else:
            yield segment._replace(text=printable(text).translate(_WITHIN))


def _plain(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        yield segment if segment.control else segment._replace(text=in_ascii(segment.text))
