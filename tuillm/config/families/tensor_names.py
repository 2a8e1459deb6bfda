"""What a family calls the tensors of a model, as data: one entry for each of ours.

Knows names and sizes; knows neither values nor files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """One tensor of ours, and those of a family that it is made of.

    `parts` are their names with the rows that each has of `shape`, which is ours: [out, in] for
    linear layers, where a family may keep them `turned`, as [in, out]. `optional` ones are all
    there or all missing.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[tuple[str, int], ...]
    turned: bool = False
    optional: bool = False

    def sizes(self, rows: int) -> list[int]:
        """The size of a part of so many rows, as the family keeps it."""
        sizes = [rows, *self.shape[1:]]
        return sizes[::-1] if self.turned else sizes


def one(name: str, theirs: str, *shape: int, turned: bool = False, optional: bool = False) -> Named:
    """A tensor that is one of theirs too."""
    return Named(name, shape, ((theirs, shape[0]),), turned, optional)


def misfit(found: Mapping[str, Sequence[int]], wanted: Iterator[Named], known: set[str]) -> str:
    """Return in words why tensors of these sizes, by name, are not those `wanted`, or ''.

    Ends at the first that is missing, so that it costs no more than there are tensors. The names
    that were looked for are added to `known`.
    """
    some, missing = "", ""
    for named in wanted:
        for name, rows in named.parts:
            known.add(name)
            if name not in found and named.optional:
                missing = missing or name
                continue
            some = some or (name if named.optional else "")
            if name not in found:
                return f"{name} is missing"
            if some and missing:
                return f"{missing} is missing"
            if (sizes := list(found[name])) != named.sizes(rows):
                return f"{name} is {sizes}, not {named.sizes(rows)}"
    return ""
