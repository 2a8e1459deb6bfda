"""Texts and bars of an exact width in columns, for terminals and the dashboard alike.

Knows columns; knows no colours.
"""

from rich.cells import cell_len, set_cell_size

from tuillm.errors import one_line

_EIGHTHS = " ▏▎▍▌▋▊▉"


def fit(text: str, width: int) -> str:
    """Return a text of exactly so many columns, its end left out where it is longer."""
    text = one_line(text)
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)


def bar(share: float, width: int, *, blocks: bool = True) -> str:
    """Return a bar of so many columns at most, exact to an eighth of one; what is, is seen.

    Without `blocks` it is made of signs that every terminal has.
    """
    eighths = round(min(max(share, 0.0), 1.0) * max(width, 0) * 8)
    if not blocks:
        return "#" * round(eighths / 8)
    rest = _EIGHTHS[eighths % 8].strip() or ("▏" if 0 < share and not eighths else "")
    return "█" * (eighths // 8) + rest


def thin_bar(share: float, width: int) -> str:
    """Return a line of so many columns at most, exact to half of one; what is, is seen."""
    halves = round(min(max(share, 0.0), 1.0) * max(width, 0) * 2)
    if not halves and 0 < share and width > 0:
        halves = 1
    return "━" * (halves // 2) + "╸" * (halves % 2)
