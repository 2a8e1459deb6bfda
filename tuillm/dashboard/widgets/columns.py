"""The columns of a table: what each shows of an entry, and which of them a width has room for.

Knows entries through functions, widths in cells of the terminal; draws nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.cells import cell_len, set_cell_size

E = TypeVar("E")

# cells between two columns, and those that the first column has at the least
GAP = 2
_FIRST = 24


@dataclass(frozen=True)
class Column(Generic[E]):
    """One column: `text` of an entry, what it is ordered by, and its colour by theme role.

    `order` may return None, which sorts last either way. `rank` says which columns go first
    when there is no room for all: the highest. `role` names a `-role` class of the table. `least`
    columns are its own whatever stands in it, so that values that change move nothing.
    """

    key: str
    label: str
    text: Callable[[E], str]
    order: Callable[[E], Any] | None = None
    right: bool = False
    rank: int = 0
    role: Callable[[E], str] | None = None
    least: int = 0


def columns_in(
    width: int, columns: Sequence[Column[E]], wanted: Sequence[int]
) -> tuple[list[Column[E]], list[int]]:
    """Choose the columns that fit into a width, the highest rank first, with the width of each.

    `wanted` is what each column needs. The first column is always there and takes the rest.
    """
    needs = {each.key: need for each, need in zip(columns, wanted, strict=True)}
    first = columns[0]
    least = min(needs[first.key], _FIRST)
    room = width - least - GAP
    kept = {first.key}
    for column in sorted(columns[1:], key=lambda each: -each.rank):
        if needs[column.key] + GAP <= room:
            room -= needs[column.key] + GAP
            kept.add(column.key)
    needs[first.key] = min(needs[first.key], least + max(room, 0))
    shown = [column for column in columns if column.key in kept]
    return shown, [needs[column.key] for column in shown]


def fit_text(text: str, width: int, right: bool) -> str:
    """Cut a text to a width, or fill it up on its left or right side."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + "…"
    return " " * (width - length) + text if right else text + " " * (width - length)
