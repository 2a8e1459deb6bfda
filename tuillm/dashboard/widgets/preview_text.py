"""The beginning of a corpus as the forecast's panel shows it: the first document, the fields.

Draws a Preview; knows nothing of how it was made.
"""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from tuillm.dashboard.widgets.fact_table import heading
from tuillm.errors import one_line
from tuillm.store.workers.corpus_preview import Piece, Preview

_MOST_LINES = 10
_LONGEST = 600
# of a prompt, whose end is as telling as its beginning
_PROMPT_HEAD, _PROMPT_TAIL = 160, 60
_MOST_FIELDS = 12
_NAME_WIDTH = 20


def document_parts(preview: Preview, colors: Mapping[str, str]) -> list[Text | Table]:
    """The first document: what is learned as it is, the rest dim, special tokens in colour."""
    if not preview.document:
        return []
    title = heading("The first document", colors)
    if any(not piece.learned for piece in preview.document):
        title.append("  dim: read, not learned", style=f"not bold {colors.get('muted', '')}")
    text, lines = Text(), 0
    for piece in preview.document:
        words = _shortened(piece)
        kept = "\n".join(words.split("\n")[: _MOST_LINES - lines])
        text.append(kept, style=_style(piece, colors))
        lines += kept.count("\n")
        if len(kept) < len(words) or lines >= _MOST_LINES:
            text.append(" …", style=colors.get("muted", ""))
            break
    else:
        if preview.cut:
            text.append(" …", style=colors.get("muted", ""))
    return [title, text, Text()]


def field_parts(preview: Preview, colors: Mapping[str, str]) -> list[Text | Table]:
    """The fields of the records, a sample of each, and which are taken for what."""
    if not preview.fields:
        return []
    muted = colors.get("muted", "")
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style=muted)
    taken = {path.partition("[")[0] for path in preview.chosen.values()}
    for each in preview.fields[:_MOST_FIELDS]:
        style = colors["accent"] if each.name in taken else ""
        table.add_row(Text(one_line(each.name), style=style), Text(each.sample))
    rest = len(preview.fields) - _MOST_FIELDS
    if rest > 0:
        table.add_row(Text(f"and {rest} more", style=muted), Text())
    return [heading("The fields of the records", colors), table, Text()]


def _style(piece: Piece, colors: Mapping[str, str]) -> str:
    if piece.special:
        return colors["accent"] if piece.learned else f"dim {colors['accent']}"
    return "" if piece.learned else f"dim {colors.get('muted', '')}"


def _shortened(piece: Piece) -> str:
    """A piece as long as there is room for; where something is left out stands …"""
    text, most = piece.text, _PROMPT_HEAD + _PROMPT_TAIL
    if not piece.learned and len(text) > most:
        return f"{text[:_PROMPT_HEAD]} … {text[-_PROMPT_TAIL:]}"
    return text[:_LONGEST]
