"""JSON as every program reads it: no NaN, no infinity, no halves of surrogate pairs.

Knows plain Python values; knows no file and no stream.
"""

import json
import math
from typing import Any

from tuillm.errors import printable

# a JSON object as it stands, or is to stand, in a file or a line: nothing in it has been checked
JsonObject = dict[str, Any]


def to_json(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return `value` as JSON text that encodes to UTF-8 whatever it holds.

    NaN and infinities, which JSON has no word for, become null. Lone surrogates (file names that
    are not UTF-8) are written as escapes, from which Python reads the same name again.
    """
    text = json.dumps(finite(value), ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(finite(value), indent=indent, allow_nan=False)
    return text


def shown_json(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return `value` as JSON text in which what acts on a terminal is escaped, too."""
    text = to_json(value, indent=indent, ascii_only=ascii_only)
    if printable(text) == text:
        return text
    return "".join(one if printable(one) else f"\\u{ord(one):04x}" for one in text)


def finite(value: object) -> object:
    """Return `value` with None in the place of each number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
