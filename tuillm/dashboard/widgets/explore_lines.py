"""Lines of an exploration's panels: figures, bars, rankings and sentences of an exact width.

Knows columns and theme roles; does not know what is told.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from tuillm.errors import one_line
from tuillm.text_report.cells import fit, thin_bar

# a name, how often it occurs, and its share of all
Row = tuple[str, int, float]
# from so many columns on a ranking has two of its own
_TWO_COLUMNS = 64


class Lines:
    """Lines of at most `width` columns, each piece in the colour of a theme's role.

    A ranking has `most` rows.
    """

    def __init__(self, width: int, colors: Mapping[str, str], most: int) -> None:
        self.width, self.most = max(width, 8), most
        self.lines: list[Text] = []
        self._colors = colors

    def add(self, *pieces: tuple[str, str] | str) -> None:
        """Add a line of pieces, each with its style, cut at the right edge.

        A style is a role of the theme, with 'bold' before it or alone; or ''.
        """
        text = Text(no_wrap=True)
        for piece in pieces:
            words, style = (piece, "") if isinstance(piece, str) else piece
            text.append(words, self._style(style))
        text.truncate(self.width, overflow="ellipsis")
        self.lines.append(text)

    def gap(self) -> None:
        """Add an empty line, but at the top."""
        if self.lines:
            self.lines.append(Text())

    def wrapped(self, text: str, style: str = "", first: str = "", rest: str = "") -> None:
        """Add a sentence over as many lines as it takes."""
        room = max(self.width - cell_len(first), 4)
        for number, words in enumerate(_wrap(one_line(text), room)):
            self.add((rest if number else first, "primary"), (words, style))

    def remarks(self, sentences: Iterable[str]) -> None:
        """Add what a beginner should think of it."""
        for number, sentence in enumerate(sentences):
            if number == 0:
                self.gap()
            self.wrapped(sentence, "secondary", "→ ", "  ")

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        """Add names and values in two columns, the values flush right."""
        rows = list(rows)
        width = max((cell_len(name) for name, _ in rows), default=0)
        room = max((cell_len(value) for _, value in rows), default=0)
        for name, value in rows:
            self.add((f"{fit(name, width)}  ", "muted"), f"{value:>{room}}")

    def shares(self, rows: Sequence[tuple[str, float]], name_width: int, role: str) -> None:
        """Add shares of 1 with a bar each."""
        room = self.width - name_width - 9
        for name, share in rows:
            self.add(f"{fit(name, name_width)} {share:>6.1%}  ", (thin_bar(share, room), role))

    def ranking(self, rows: Sequence[Row], name_width: int) -> None:
        """Add the first names with counts, shares and bars; twice as many where there is room."""
        columns = 2 if self.width >= _TWO_COLUMNS else 1
        rows = rows[: self.most * columns]
        height = -(-len(rows) // columns)
        top = max((share for _, _, share in rows), default=1.0) or 1.0
        digits = max((len(f"{number:,}") for _, number, _ in rows), default=1)
        each = (self.width - 3 * (columns - 1)) // columns
        room = each - name_width - digits - 10
        for index in range(height):
            pieces: list[tuple[str, str] | str] = []
            for name, number, share in rows[index::height]:
                if pieces:
                    pieces.append("   ")
                drawn = thin_bar(share / top, room)
                pieces += [(fit(name, name_width), "bold"), f" {number:>{digits},}"]
                pieces += [(f" {share:>6.1%}  ", "muted"), (drawn, "primary")]
                pieces.append(" " * (room - len(drawn)))
            self.add(*pieces)

    def _style(self, style: str) -> str:
        """The colours of a style's roles; other words of it stay."""
        return " ".join(self._colors.get(word, word) for word in style.split())


def _wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns, between words where it has any."""
    lines: list[str] = []
    for words in textwrap.wrap(text, width, break_on_hyphens=False):
        while cell_len(words) > width:  # wide characters count twice
            cut = fit(words, width).rstrip("…").rstrip()
            lines.append(cut)
            words = words[len(cut) :]
        lines.append(words)
    return lines
