"""Unicode normalisation in time that grows with the length of a text, whatever marks it has.

Python puts the marks behind a letter in order by swapping neighbours: of a million marks on one
letter that takes hours. Here long runs are put in order before. Knows characters only.
"""

import unicodedata
from functools import cache
from itertools import groupby
from typing import Any, Literal

# longer than in any writing: Unicode's stream-safe format has 30 at the most
_LONG = 32
# the last two are marks by compatibility only
_MARK = "[\\p{M}\uff9e\uff9f]"


def normalized(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """Return the text in a normal form, the same as `unicodedata.normalize`."""
    one, long = _marks()
    if one.search("".join(set(text[::_LONG]))):  # else there is no long run
        text = long.sub(lambda run: _in_order(run[0], form), text)
    return unicodedata.normalize(form, text)


@cache
def _marks() -> tuple[Any, Any]:
    """Return the patterns of a mark and of a long run of them; loads what knows Unicode's kinds."""
    import regex

    return regex.compile(_MARK), regex.compile(f"{_MARK}{{{_LONG},}}+")


def _in_order(run: str, form: Literal["NFC", "NFKC"]) -> str:
    """Return marks taken apart and in canonical order: by their class, those of 0 where they are.

    Marks of one class stay as they stood.
    """
    apart: Literal["NFD", "NFKD"] = "NFKD" if form == "NFKC" else "NFD"
    marks = "".join(unicodedata.normalize(apart, mark) for mark in run)
    groups = groupby(marks, lambda mark: unicodedata.combining(mark) > 0)
    return "".join(
        "".join(sorted(group, key=unicodedata.combining) if moves else group)
        for moves, group in groups
    )
