"""Lays the tokens of an example out in rows, as text that can be read, for whoever draws them.

A special token begins a row, what ends a text or a line ends one. Knows columns; knows no colours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from tuillm.store.workers.exploration_record import ExampleToken, TokenExample
from tuillm.text_report.cells import fit
from tuillm.text_report.remarks import visible

GAP = "…"


@dataclass(frozen=True)
class ShownToken:
    """A token as it is written, blanks and line ends to be seen; None stands for those left out."""

    text: str
    token: ExampleToken | None


def token_rows(example: TokenExample, width: int) -> Iterator[list[ShownToken]]:
    """Yield rows of at most `width` columns, of which one behind each token is for its edge."""
    row: list[ShownToken] = []
    used, ended = 0, False
    for number, token in enumerate(example.tokens):
        if number == example.gap:
            yield from (each for each in (row, [ShownToken(GAP, None)]) if each)
            row, used = [], 0
        text = _written(token, width - 1)
        begins = token.special and token.id not in example.ends
        if ended and not token.text.strip("\n"):
            begins = False  # an empty line stands behind the end of the one before it
        elif ended:
            begins = True
        if row and (begins or used + cell_len(text) + 1 > width):
            yield row
            row, used = [], 0
        row.append(ShownToken(text, token))
        used += cell_len(text) + 1
        ended = token.id in example.ends or token.text.endswith("\n")
    if row:
        yield row


def _written(token: ExampleToken, width: int) -> str:
    text = visible(token.text, "·")
    return text if cell_len(text) <= width else fit(text, max(width, 1))
