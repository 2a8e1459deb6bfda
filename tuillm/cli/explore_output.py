"""What `tuillm explore` shows on a terminal: sections with aligned figures and bars.

Everything fits in 80 columns, or fewer where the window is narrower. Knows `Exploration`s and rich.
"""

import sys
import textwrap
from collections.abc import Sequence

from rich.text import Text

from tuillm.cli.output import safe_console
from tuillm.errors import one_line
from tuillm.store.workers.exploration_record import Exploration
from tuillm.terminal.streams import takes_utf8
from tuillm.text_report.cells import bar, fit
from tuillm.text_report.remarks import binary, remarks, visible, where_it_stands
from tuillm.text_report.token_rows import token_rows
from tuillm.theme import theme_for
from tuillm.units import count, size

_TOP, _RAREST, _SPEAKERS, _LINES = 20, 6, 12, 5
_REPEAT_LINES = 4


def show_exploration(seen: Exploration) -> None:
    """Print all sections of an exploration."""
    page = _Page()
    _size(page, seen)
    _language(page, seen)
    _documents(page, seen)
    _characters(page, seen)
    _words(page, seen)
    _repetition(page, seen)
    _speakers(page, seen)
    _tokens(page, seen)
    _example(page, seen)
    page.line()
    page.line((f"counted in {seen.seconds['all']:.1f} s", "note"))


class _Page:
    """Prints lines of styled pieces, none wider than the terminal."""

    def __init__(self) -> None:
        self._console = safe_console()
        piped = not sys.stdout.isatty()
        self.width = 80 if piped else max(20, min(self._console.width, 80))
        self._blocks = takes_utf8(sys.stdout)
        # behind a token that is read only, and behind one that is learned
        self.edges = ("┊", "│") if self._blocks else (":", "|")
        theme = theme_for(self._console.color_system)
        self._styles = {
            "title": f"bold {theme['primary']}",
            "bar": theme["primary"],
            "other": theme["secondary"],
            "note": theme["muted"],
            "strong": "bold",
            "special": f"bold {theme['accent']}",
            "unlearned": f"dim {theme['muted']}",
            "": "",
        }

    def line(self, *pieces: tuple[str, str] | str) -> None:
        """Print pieces of text, each with the name of its style, cut at the right edge."""
        text = Text()
        for piece in pieces:
            words, style = (piece, "") if isinstance(piece, str) else piece
            text.append(words, self._styles[style])
        text.rstrip()
        text.truncate(self.width, overflow="ellipsis")
        self._console.print(text, soft_wrap=True)

    def title(self, name: str, facts: str = "") -> None:
        """Print the head of a section."""
        self.line()
        self.line((f"{name}  " if facts else name, "title"), facts)

    def remarks(self, seen: Exploration, section: str) -> None:
        """Print what a beginner should think of it."""
        for remark in remarks(seen, section):
            self.wrapped(remark, "note", "→ ", "  ")

    def wrapped(self, text: str, style: str = "", first: str = "  ", rest: str = "  ") -> None:
        """Print a sentence over as many lines as it takes."""
        lines = textwrap.wrap(one_line(text), self.width - len(first), break_on_hyphens=False)
        for number, words in enumerate(lines):
            self.line((f"{rest if number else first}{words}", style))

    def bar(self, share: float, width: int) -> tuple[str, str]:
        """Return a bar of so many columns at most, exact to an eighth of one."""
        return bar(share, width, blocks=self._blocks), "bar"

    def ranking(self, rows: Sequence[tuple[str, int]], total: int, name_width: int) -> None:
        """Print names with counts, shares and bars, in two columns where there is room."""
        columns = 2 if self.width >= 76 else 1
        height = -(-len(rows) // columns)
        most = max((number for _, number in rows), default=1)
        digits = max((len(f"{number:,}") for _, number in rows), default=1)
        room = (self.width - 2) // columns - name_width - digits - 11
        for row in range(height):
            pieces: list[tuple[str, str] | str] = ["  "]
            for name, number in rows[row::height]:
                drawn, style = self.bar(number / most, room)
                share = f"{number / max(total, 1):.1%}"
                pieces += [f"{fit(name, name_width)} {number:>{digits},} {share:>6} "]
                pieces += [(drawn, style), " " * (room - len(drawn) + 3)]
            self.line(*pieces)


def _size(page: _Page, seen: Exploration) -> None:
    page.line((one_line(seen.label), "strong"))
    page.title("Size", size(seen.size.bytes))
    for name, number in (
        ("characters", seen.size.characters),
        ("words", seen.size.words),
        ("lines", seen.size.lines),
        ("documents", seen.documents.count),
    ):
        page.line(f"  {name:<11}{number:>14,}")
    for note in seen.notes:
        page.wrapped(note)
    page.remarks(seen, "size")


def _language(page: _Page, seen: Exploration) -> None:
    page.title("Language")
    for kind, shares in (("", seen.languages), ("letters", seen.characters.scripts)):
        for each in [each for each in shares if each.share >= 0.001][:6]:
            name = f"{each.name} {kind}".strip()
            page.line(
                f"  {fit(name, 22)} {each.share:>6.1%} ",
                page.bar(each.share, min(30, page.width - 33)),
            )
    page.remarks(seen, "language")


def _documents(page: _Page, seen: Exploration) -> None:
    lengths = seen.documents
    if lengths.count < 2:
        return
    page.title("Documents", f"{lengths.count:,}")
    page.line(
        f"  shortest {size(lengths.shortest)}, median {size(lengths.median)}, "
        f"longest {size(lengths.longest)}"
    )
    most = max((number for _, number in lengths.histogram), default=1)
    for least, number in lengths.histogram:
        label = f"{binary(least)} to {binary(2 * least)}"
        page.line(f"  {label:<20}{number:>9,} ", page.bar(number / most, page.width - 33))
    page.remarks(seen, "documents")


def _characters(page: _Page, seen: Exploration) -> None:
    found = seen.characters
    page.title("Characters", f"{found.distinct:,} different")
    rows = [(visible(each.character, "␣"), each.count) for each in found.by_frequency[:_TOP]]
    page.ranking(rows, found.total, 10 if any(len(name) > 4 for name, _ in rows) else 4)
    if found.rarest:
        page.line(("  the rarest, and where they first stand", "note"))
    for each in found.rarest[:_RAREST]:
        where = where_it_stands(seen, each)
        begin = f"  {fit(visible(each.character, '␣'), 8)} {count(each.count):>5}  {where:<13} "
        page.line(
            begin,
            (visible(each.before)[-20:], "note"),
            (visible(each.character, "␣"), "strong"),
            (visible(each.after), "note"),
        )
    page.remarks(seen, "characters")


def _words(page: _Page, seen: Exploration) -> None:
    words = seen.words
    least = "at least " if words.cut else ""
    once = words.once / max(words.distinct, 1)
    page.title("Words", f"{least}{words.distinct:,} different, {once:.0%} of them occur once")
    rows = [(visible(each.word), each.count) for each in words.by_frequency[:_TOP]]
    page.ranking(rows, words.total, 12)
    if words.zipf is not None:
        page.line(f"  slope of count over rank {words.zipf:.2f}")
    page.remarks(seen, "words")


def _repetition(page: _Page, seen: Exploration) -> None:
    found, longest = seen.repetition, seen.repetition.longest
    page.title("Repetition")
    lines = found.lines
    page.line(
        f"  {lines.repeated:,} of {lines.total:,} lines repeat an earlier one: "
        f"{size(lines.repeated_bytes)}"
    )
    for each in found.frequent_lines[:_LINES]:
        page.line(f"  {each.count:>9,} × ", (fit(visible(each.line), page.width - 14), "other"))
    page.line(f"  the longest passage that occurs twice has {longest.length:,} characters")
    shown = textwrap.wrap(visible(longest.text), page.width - 6) if longest.length else []
    for words in shown[:_REPEAT_LINES]:
        page.line("    ", (words, "other"))
    if len(shown) > _REPEAT_LINES or longest.length > len(longest.text):
        page.line(("    and so on", "note"))
    page.remarks(seen, "repetition")


def _speakers(page: _Page, seen: Exploration) -> None:
    play = seen.speakers
    if play is None:
        return
    page.title("Speakers", f"{play.distinct:,}, who speak {play.cues:,} times")
    most = play.by_share[0].share
    for each in play.by_share[:_SPEAKERS]:
        page.line(
            f"  {fit(visible(each.name), 22)} {each.cues:>6,} times {each.share:>6.1%} ",
            page.bar(each.share / most, page.width - 46),
        )
    page.remarks(seen, "speakers")


def _tokens(page: _Page, seen: Exploration) -> None:
    found = seen.tokens
    page.title("Tokens")
    page.line(("  tokenizer   entries       tokens  per byte", "note"))
    for rate in found.rates:
        star = "*" if rate.tokenizer == seen.example.tokenizer else " "
        page.line(
            f"  {rate.tokenizer:<10}{star}{rate.entries:>8,} {rate.tokens:>12,} "
            f"{rate.tokens_per_byte:>9.3f}  ",
            page.bar(rate.tokens_per_byte, page.width - 48),
        )
    page.remarks(seen, "tokens")


def _example(page: _Page, seen: Exploration) -> None:
    """What a model reads first, token by token; what is not learned is dimmed."""
    example = seen.example
    if example.missing:
        page.title("Example", example.missing)
        return
    page.title("Example", one_line(f"what a model reads first, in tokens of {example.tokenizer}"))
    number = 0
    for row in token_rows(example, page.width - 2):
        pieces: list[tuple[str, str] | str] = ["  "]
        for shown in row:
            token = shown.token
            if token is None:
                pieces.append((shown.text, "note"))
                continue
            role = "special" if token.special else "other" if number % 2 else ""
            pieces.append((shown.text, role if token.learned else "unlearned"))
            pieces.append((page.edges[token.learned], "note"))
            number += 1
        page.line(*pieces)
    if example.masked:
        page.line((f"  {page.edges[True]} learned   {page.edges[False]} read only", "note"))
    page.remarks(seen, "example")
