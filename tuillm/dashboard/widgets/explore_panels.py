"""What the panels of an exploration say: each a title and lines of an exact width.

Knows `Exploration`s; where the panels stand is `explore_view`'s.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from tuillm.dashboard.widgets.explore_lines import Lines
from tuillm.plotting import braille, trace
from tuillm.store.workers.exploration_record import Exploration
from tuillm.text_report.cells import fit, thin_bar
from tuillm.text_report.remarks import binary, remarks, visible, where_it_stands
from tuillm.text_report.token_rows import token_rows
from tuillm.units import count, size

_RAREST, _LINES = 6, 5
_REPEAT_LINES = 4
_CURVE_HEIGHT = 6


@dataclass(frozen=True)
class Panel:
    """A title, a few words beside it, and lines of the width that was asked for."""

    name: str
    title: str
    facts: str
    lines: list[Text]


def panels_of(
    seen: Exploration, width: int, colors: Mapping[str, str], most: int = 10
) -> list[Panel]:
    """Return the panels of an exploration in their order, their lines `width` columns wide.

    A ranking has `most` rows.
    """
    panels = []
    for name, (title, draw) in _PANELS.items():
        lines = Lines(width, colors, most)
        facts = draw(lines, seen)
        if facts is not None:
            lines.remarks(remarks(seen, name))
            panels.append(Panel(name, title, facts, lines.lines))
    return panels


def _size(lines: Lines, seen: Exploration) -> str:
    lines.facts(
        (name, f"{number:,}")
        for name, number in (
            ("characters", seen.size.characters),
            ("words", seen.size.words),
            ("lines", seen.size.lines),
            ("documents", seen.documents.count),
        )
    )
    for number, note in enumerate(seen.notes):
        if number == 0:
            lines.gap()
        lines.wrapped(note, "muted", "· ", "  ")
    return size(seen.size.bytes)


def _language(lines: Lines, seen: Exploration) -> str:
    for kind, found, role in (
        ("", seen.languages, "primary"),
        (" letters", seen.characters.scripts, "secondary"),
    ):
        rows = [(f"{each.name}{kind}", each.share) for each in found if each.share >= 0.001]
        lines.shares(rows[:6], min(18, lines.width // 2), role)
    return ""


def _example(lines: Lines, seen: Exploration) -> str:
    """The first tokens; those that are only read are dimmed, special ones stand out."""
    example = seen.example
    if example.missing:
        lines.wrapped(example.missing, "warning")
        return ""
    number = 0
    for row in token_rows(example, lines.width):
        pieces: list[tuple[str, str] | str] = []
        for shown in row:
            token = shown.token
            if token is None:
                pieces.append((shown.text, "muted"))
                continue
            role = "bold accent" if token.special else ("foreground", "secondary")[number % 2]
            pieces.append((shown.text, role if token.learned else "text-disabled"))
            pieces.append(("│" if token.learned else "┊", "border-blurred"))
            number += 1
        lines.add(*pieces)
    if example.masked:
        lines.gap()
        lines.add("learned", ("│", "border-blurred"), "   ", ("read only┊", "text-disabled"))
    return f"in tokens of {example.tokenizer}"


def _tokens(lines: Lines, seen: Exploration) -> str:
    rates, chosen = seen.tokens.rates, seen.example.tokenizer
    room = lines.width - 41
    lines.add(("  tokenizer  entries       tokens  a byte", "muted"))
    for rate in rates:
        taken = rate.tokenizer == chosen
        lines.add(
            ("● " if taken else "  ", "accent"),
            (f"{rate.tokenizer:<9} {rate.entries:>8,} {rate.tokens:>12,}", "bold" if taken else ""),
            (f" {rate.tokens_per_byte:>6.3f} ", "bold" if taken else "muted"),
            (thin_bar(rate.tokens_per_byte, room), "accent" if taken else "primary"),
        )
    if all(rate.tokenizer != chosen for rate in rates):
        lines.add(("● ", "accent"), (chosen, "bold"))
    lines.add(("● ", "accent"), ("taken by this run", "muted"))
    return ""


def _documents(lines: Lines, seen: Exploration) -> str | None:
    lengths, copies = seen.documents, seen.repetition.documents
    if lengths.count < 2:
        return None
    lines.facts(
        (name, value)
        for name, value in (
            ("shortest", size(lengths.shortest)),
            ("median", size(lengths.median)),
            ("longest", size(lengths.longest)),
            ("copies of others", f"{copies.repeated:,}"),
        )
    )
    lines.gap()
    most = max((number for _, number in lengths.histogram), default=1)
    for least, number in lengths.histogram:
        label = f"{binary(least)} to {binary(2 * least)}"
        lines.add(
            (f"{label:<19}", "muted"),
            f"{number:>8,}  ",
            (thin_bar(number / most, lines.width - 29), "primary"),
        )
    return f"{lengths.count:,}"


def _characters(lines: Lines, seen: Exploration) -> str:
    found = seen.characters
    total = max(found.total, 1)
    rows = [
        (visible(each.character, "␣"), each.count, each.count / total)
        for each in found.by_frequency[: 2 * lines.most]
    ]
    lines.ranking(rows, max((min(cell_len(name), 10) for name, _, _ in rows), default=2) + 1)
    if found.rarest:
        lines.gap()
        lines.add(("the rarest, and where they first stand", "muted"))
    positions = [where_it_stands(seen, each) for each in found.rarest[:_RAREST]]
    room = max(map(len, positions), default=0)
    for each, position in zip(found.rarest, positions, strict=False):
        sign = visible(each.character, "␣")
        before, after = visible(each.before), visible(each.after)
        lines.add(
            (fit(sign, 7), "bold"),
            f"{count(each.count):>3}  ",
            (f"{position:<{room}}", "muted"),
            "  ",
            (before[-min(max(lines.width - room - 26, 4), 16) :], "muted"),
            (sign, "bold accent"),
            (after, "muted"),
        )
    return f"{found.distinct:,} different"


def _words(lines: Lines, seen: Exploration) -> str:
    words = seen.words
    rows = [
        (visible(each.word), each.count, each.count / max(words.total, 1))
        for each in words.by_frequency[: 2 * lines.most]
    ]
    lines.ranking(rows, 11)
    lines.gap()
    once = words.once / max(words.distinct, 1)
    lines.add((f"{once:.0%}", "bold"), " of them occur once")
    if words.zipf is not None:
        lines.add("slope of count over rank ", (f"{words.zipf:.2f}", "bold"))
        _zipf(lines, [each.count for each in words.by_frequency])
    return f"{'at least ' if words.cut else ''}{words.distinct:,} different"


def _zipf(lines: Lines, counts: list[int]) -> None:
    """Counts over ranks, both logarithmic, as dots of braille."""
    import numpy as np

    if len(counts) < 2 or counts[0] == counts[-1]:
        return
    ranks, heights = np.log10(np.arange(1, len(counts) + 1)), np.log10(np.asarray(counts))
    label = max(len(count(counts[0])), len(count(counts[-1])))
    width = min(max(lines.width - label - 2, 4), 60)
    view = (0.0, float(ranks[-1]), math.log10(counts[-1]), math.log10(counts[0]))
    dots = trace(ranks, heights, view, width, _CURVE_HEIGHT)
    for number, row in enumerate(braille(dots).tolist()):
        edge = {0: counts[0], _CURVE_HEIGHT - 1: counts[-1]}.get(number)
        lines.add(
            (f"{'' if edge is None else count(edge):>{label}} ", "muted"),
            ("".join(chr(0x2800 + cell) if cell else " " for cell in row), "primary"),
        )
    last = f"rank {count(len(counts))}"
    lines.add((f"{'':>{label}} 1{last:>{max(width - 1, len(last))}}", "muted"))


def _repetition(lines: Lines, seen: Exploration) -> str:
    found, longest = seen.repetition, seen.repetition.longest
    repeated = found.lines
    lines.wrapped(
        f"{repeated.repeated:,} of {repeated.total:,} lines repeat an earlier one: "
        f"{size(repeated.repeated_bytes)}"
    )
    for each in found.frequent_lines[:_LINES]:
        shown = fit(visible(each.line), lines.width - 11)
        lines.add((f"{each.count:>8,} × ", "muted"), (shown.rstrip(), "secondary"))
    lines.gap()
    lines.wrapped(f"the longest passage that occurs twice has {longest.length:,} characters")
    inner = Lines(lines.width - 2, {}, lines.most)
    if longest.length:
        inner.wrapped(visible(longest.text))
    for text in inner.lines[:_REPEAT_LINES]:
        lines.add("  ", (text.plain, "secondary"))
    if len(inner.lines) > _REPEAT_LINES or longest.length > len(longest.text):
        lines.add(("  and so on", "muted"))
    return ""


def _speakers(lines: Lines, seen: Exploration) -> str | None:
    play = seen.speakers
    if play is None:
        return None
    rows = [(visible(each.name), each.cues, each.share) for each in play.by_share]
    width = max(cell_len(name) for name, _, _ in rows[: 2 * lines.most])
    lines.ranking(rows, min(width, 18))
    return f"{play.distinct:,}, who speak {play.cues:,} times"


_PANELS: dict[str, tuple[str, Callable[[Lines, Exploration], str | None]]] = {
    "size": ("Size", _size),
    "language": ("Language", _language),
    "example": ("What a model reads first", _example),
    "tokens": ("Tokens", _tokens),
    "documents": ("Documents", _documents),
    "speakers": ("Speakers", _speakers),
    "characters": ("Characters", _characters),
    "words": ("Words", _words),
    "repetition": ("Repetition", _repetition),
}
