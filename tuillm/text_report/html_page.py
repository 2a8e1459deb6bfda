"""The page to share: one file of HTML that needs nothing else, light or dark.

Styles and drawings (SVG) stand in it; no script, no font, no picture from elsewhere. Whatever comes
out of a text is escaped. Knows `Exploration`s; writes no file.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from tuillm import __version__
from tuillm.errors import one_line
from tuillm.store.workers.exploration_record import Exploration
from tuillm.text_report.remarks import binary, remarks, visible, where_it_stands
from tuillm.text_report.token_rows import ShownToken, token_rows
from tuillm.units import count, size

_TOP, _SPEAKERS, _LINES = 24, 20, 8
_REPEAT = 600
# a row of tokens breaks where the page is narrower
_ROW = 400
# how a page begins, by which one is known that may be replaced
PAGE_START = "<!doctype html>\n<!-- tuillm explore -->"
_CSS = """
:root { color-scheme: light dark; --ground: #f7f3ec; --card: #fffdf9; --ink: #2c2622;
  --quiet: #7a6f66; --line: #e9e0d4; --bar: #c27a2c; --other: #4f7f7a; --tint: #f4e6d2;
  --tint2: #dfecea; }
@media (prefers-color-scheme: dark) { :root { --ground: #1b1816; --card: #24201d; --ink: #ece4da;
  --quiet: #a3978b; --line: #39332e; --bar: #e0a458; --other: #8fbcb4; --tint: #44351f;
  --tint2: #24403c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 ui-serif, Georgia, "Times New Roman", serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.25rem 2rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; font-weight: 600; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; font-weight: 600; }
h2 small { font-weight: 400; color: var(--quiet); font-size: .9rem; margin-left: .5rem; }
h3 { font-size: .9rem; margin: 1.1rem 0 .4rem; font-weight: 400; color: var(--quiet); }
p { margin: .4rem 0; }
.quiet, footer { color: var(--quiet); }
.remark { margin: .9rem 0 0; padding-left: .8rem; border-left: 3px solid var(--bar);
  font-style: italic; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem;
  margin: 1.75rem 0; }
.figures div { border-top: 2px solid var(--bar); padding-top: .4rem; }
.figures b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.25; }
.cards { columns: 2 26rem; column-gap: 1.25rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.25rem 1.4rem; margin: 0 0 1.25rem; break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { padding: .12rem .6rem .12rem 0; text-align: left; font-weight: 400; white-space: nowrap; }
th { color: var(--quiet); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.bar { width: 45%; padding-right: 0; }
td.bar i { display: block; height: .72rem; background: var(--bar); border-radius: 2px;
  min-width: 1px; }
td.mono { font-size: .82rem; }
td.times { width: 1%; }
td.name { max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
code, pre, .mono { font: .85em/1.6 ui-monospace, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .8rem 1rem;
  background: var(--ground); border-radius: .4rem; }
.tokens { line-height: 2; overflow-wrap: anywhere; }
.tokens span { background: var(--tint); border-radius: 3px; padding: .15em .1em; margin-right: 2px;
  white-space: pre-wrap; }
.tokens span:nth-of-type(even) { background: var(--tint2); }
.tokens span.special { border: 1px solid var(--bar); font-weight: 600; }
.tokens span.masked { background: none; color: var(--quiet); border: 1px dashed var(--line); }
mark { background: var(--tint); color: inherit; border-radius: 2px; padding: 0 .15em; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--quiet); font-size: 11px; font-family: inherit; }
svg .axis { stroke: var(--line); } svg .law { stroke: var(--quiet); stroke-dasharray: 4 4; }
svg .curve { stroke: var(--bar); stroke-width: 2.5; fill: none; } svg rect { fill: var(--bar); }
footer { margin-top: 2rem; font-size: .85rem; }
"""


def page_of(seen: Exploration) -> str:
    """Return the whole page."""
    sections = [
        _language(seen),
        _tokens(seen),
        _example(seen),
        _characters(seen),
        _words(seen),
        _documents(seen),
        _repetition(seen),
        _speakers(seen),
    ]
    label = _text(one_line(seen.label))
    return (
        f"{PAGE_START}\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{label}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_CSS}</style></head>\n<body><main>\n<h1>{label}</h1>\n{_size(seen)}"
        f'<div class="cards">\n{"".join(sections)}</div>\n'
        f"<footer>Counted by tuillm {__version__} in {seen.seconds['all']:.1f} s.</footer>\n"
        "</main></body></html>\n"
    )


def _size(seen: Exploration) -> str:
    figures = (
        (size(seen.size.bytes), "of text"),
        (f"{seen.size.characters:,}", "characters"),
        (f"{seen.size.words:,}", "words"),
        (f"{seen.size.lines:,}", "lines"),
        (f"{seen.documents.count:,}", "documents" if seen.documents.count > 1 else "document"),
    )
    tiles = "".join(f"<div><b>{_text(value)}</b>{name}</div>" for value, name in figures)
    notes = "".join(f'<p class="quiet">{_text(one_line(note))}</p>' for note in seen.notes)
    said = "".join(f'<p class="quiet">{_text(each)}</p>' for each in remarks(seen, "size"))
    return f'{said}<div class="figures">{tiles}</div>\n{notes}'


def _language(seen: Exploration) -> str:
    rows = [(each.name, "", each.share) for each in seen.languages]
    letters = [(f"{each.name} letters", "", each.share) for each in seen.characters.scripts[:8]]
    return _section("Language", "", _bars(rows + letters, 1.0), seen, "language")


def _characters(seen: Exploration) -> str:
    found = seen.characters
    rows = [
        (visible(each.character, "␣"), f"{each.count:,}", each.count / max(found.total, 1))
        for each in found.by_frequency[:_TOP]
    ]
    rarest = "".join(
        f'<tr><td class="mono">{_text(visible(each.character, "␣"))}</td>'
        f'<td class="n">{count(each.count)}</td><td>{where_it_stands(seen, each)}</td>'
        f'<td class="mono name">{_text(visible(each.before)[-18:])}'
        f"<mark>{_text(visible(each.character))}</mark>{_text(visible(each.after))}</td></tr>"
        for each in found.rarest
    )
    body = _bars(rows)
    if rarest:
        body += f"<h3>the rarest, and where they first stand</h3><table>{rarest}</table>"
    return _section("Characters", f"{found.distinct:,} different", body, seen, "characters")


def _words(seen: Exploration) -> str:
    words = seen.words
    rows = [
        (visible(each.word), f"{each.count:,}", each.count / max(words.total, 1))
        for each in words.by_frequency[:_TOP]
    ]
    least = "at least " if words.cut else ""
    once = words.once / max(words.distinct, 1)
    body = _bars(rows) + _zipf([each.count for each in words.by_frequency], words.zipf)
    facts = f"{least}{words.distinct:,} different, {once:.0%} of them occur once"
    return _section("Words", facts, body, seen, "words")


def _documents(seen: Exploration) -> str:
    lengths = seen.documents
    if lengths.count < 2:
        return ""
    facts = (
        f"<p>shortest {size(lengths.shortest)}, median {size(lengths.median)}, "
        f"longest {size(lengths.longest)}</p>"
    )
    drawn = _histogram(lengths.histogram)
    return _section("Documents", f"{lengths.count:,}", facts + drawn, seen, "documents")


def _repetition(seen: Exploration) -> str:
    found, longest = seen.repetition, seen.repetition.longest
    lines = found.lines
    rows = "".join(
        f'<tr><td class="n times">{each.count:,} ×</td>'
        f'<td class="mono name">{_text(visible(each.line[:200]))}</td></tr>'
        for each in found.frequent_lines[:_LINES]
    )
    dots = " …" if longest.length > min(_REPEAT, len(longest.text)) else ""
    passage = f"<pre>{_text(visible(longest.text[:_REPEAT]))}{dots}</pre>" if longest.length else ""
    body = (
        f"<p>{lines.repeated:,} of {lines.total:,} lines repeat an earlier one: "
        f"{size(lines.repeated_bytes)}</p><table>{rows}</table>"
        f"<h3>the longest passage that occurs twice: {longest.length:,} characters</h3>{passage}"
    )
    return _section("Repetition", "", body, seen, "repetition")


def _speakers(seen: Exploration) -> str:
    play = seen.speakers
    if play is None:
        return ""
    rows = [
        (visible(each.name), f"{each.cues:,} times", each.share)
        for each in play.by_share[:_SPEAKERS]
    ]
    facts = f"{play.distinct:,}, who speak {play.cues:,} times"
    return _section("Speakers", facts, _bars(rows), seen, "speakers")


def _tokens(seen: Exploration) -> str:
    found = seen.tokens
    rows = "".join(
        f"<tr><td>{_text(rate.tokenizer)}"
        f"{' <b>*</b>' if rate.tokenizer == seen.example.tokenizer else ''}</td>"
        f'<td class="n">{rate.entries:,}</td><td class="n">{rate.tokens:,}</td>'
        f'<td class="n">{rate.tokens_per_byte:.3f}</td></tr>'
        for rate in found.rates
    )
    body = (
        '<table><tr><th>tokenizer</th><th class="n">entries</th><th class="n">tokens</th>'
        f'<th class="n">per byte</th></tr>{rows}</table>'
    )
    return _section("Tokens", "", body, seen, "tokens")


def _example(seen: Exploration) -> str:
    example = seen.example
    if example.missing:
        return _section("Example", example.missing, "", seen, "example")
    rows = "<br>".join("".join(map(_span, row)) for row in token_rows(example, _ROW))
    facts = f"what a model reads first, in tokens of {example.tokenizer}"
    body = f'<p class="tokens mono">{rows}</p>'
    return _section("Example", facts, body, seen, "example")


def _span(shown: ShownToken) -> str:
    """A token as a box, in turns of two colours; read only it is pale."""
    token = shown.token
    if token is None:
        return _text(shown.text)
    kinds = " ".join(("special",) * token.special + ("masked",) * (not token.learned))
    return f'<span class="{kinds}">{_text(shown.text)}</span>'


def _section(title: str, facts: str, body: str, seen: Exploration, name: str) -> str:
    small = f"<small>{_text(facts)}</small>" if facts else ""
    said = "".join(f'<p class="remark">{_text(each)}</p>' for each in remarks(seen, name))
    return f"<section><h2>{title}{small}</h2>{body}{said}</section>\n"


def _bars(rows: Sequence[tuple[str, str, float]], most: float = 0.0) -> str:
    """A table of names, counts and shares of 1 with a bar each, the longest as long as `most`."""
    most = most or max((share for _, _, share in rows), default=1.0) or 1.0
    drawn = "".join(
        f'<tr><td class="mono name">{_text(name)}</td><td class="n">{number}</td>'
        f'<td class="n">{share:.1%}</td>'
        f'<td class="bar"><i style="width:{100 * share / most:.1f}%"></i></td></tr>'
        for name, number, share in rows
    )
    return f"<table>{drawn}</table>"


def _zipf(counts: list[int], slope: float | None) -> str:
    """Counts over ranks, both logarithmic, with a line of the slope -1 to compare with."""
    if slope is None:
        return ""
    width, height, left, bottom = 480, 240, 44, 26
    right, top = math.log10(len(counts)), math.log10(counts[0])

    def at(rank: float, number: float) -> str:
        x = left + (width - left - 20) * math.log10(rank) / right
        y = 8 + (height - bottom - 8) * (1 - math.log10(number) / top)
        return f"{x:.1f},{y:.1f}"

    ranks = sorted({round(10 ** (right * step / 120)) for step in range(121)})
    curve = " ".join(at(rank, counts[rank - 1]) for rank in ranks)
    begin = counts[min(9, len(counts) - 1)] * 10
    fall = [(rank, begin / rank) for rank in ranks if 1 <= begin / rank <= counts[0]]
    law = " ".join(at(*point) for point in (fall[0], fall[-1])) if fall else ""
    floor = height - bottom
    across = [(10**power, at(10**power, 1).split(",")[0]) for power in range(int(right) + 1)]
    up = [(10**power, float(at(1, 10**power).split(",")[1]) + 4) for power in range(int(top) + 1)]
    labels = "".join(
        f'<text text-anchor="middle" x="{x}" y="{height - 8}">{rank:,}</text>' for rank, x in across
    ) + "".join(f'<text x="0" y="{y:.1f}">{count(number)}</text>' for number, y in up)
    return (
        f"<h3>count over rank, slope {slope:.2f}; dashed: -1, Zipf's law</h3>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="count over rank">'
        f'<line class="axis" x1="{left}" y1="{floor}" x2="{width}" y2="{floor}"/>'
        f'<polyline class="law" fill="none" points="{law}"/>'
        f'<polyline class="curve" points="{curve}"/>{labels}</svg>'
    )


def _histogram(rows: Iterable[tuple[int, int]]) -> str:
    """How many documents are so long, by powers of two."""
    rows = list(rows)
    most = max((number for _, number in rows), default=1)
    width, height, floor = 480, 200, 172
    step = width / max(len(rows), 1)
    drawn = []
    for index, (least, number) in enumerate(rows):
        tall = 140 * number / most
        middle = (index + 0.5) * step
        drawn.append(
            f'<rect x="{index * step + 2:.1f}" y="{floor - tall:.1f}" width="{step - 4:.1f}" '
            f'height="{tall:.1f}" rx="2"/>'
        )
        if len(rows) <= 12 or index % 2 == 0:
            drawn.append(
                f'<text text-anchor="middle" x="{middle:.1f}" y="{floor + 16}">'
                f"{binary(least)}</text>"
            )
        if number and len(rows) <= 16:
            drawn.append(
                f'<text text-anchor="middle" x="{middle:.1f}" y="{floor - tall - 5:.1f}">'
                f"{count(number)}</text>"
            )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="lengths of the documents">'
        f'<line class="axis" x1="0" y1="{floor}" x2="{width}" y2="{floor}"/>'
        f"{''.join(drawn)}</svg>"
    )


def _text(text: str) -> str:
    return escape(text)
