"""Values of records by paths such as `answers.text[0]`, as text, and which field holds the text.

Knows plain Python values; knows no format.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tuillm.errors import TuillmError, brief, did_you_mean, one_line, shorten
from tuillm.formats.json_text import to_json
from tuillm.text.sources.items import Record

_SAMPLE = 1000
# names that mean the text itself, the surest first
_USUAL = (
    "text",
    "content",
    "contents",
    "body",
    "document",
    "article",
    "story",
    "passage",
    "paragraph",
    "sentence",
)
_STEP = re.compile(r"\[(-?\d{1,9})\]|\.([^.\[\]]+)")
_DEEPEST = 8
_MOST_FIELDS = 500
_SHOWN = 20
_ROOM = 200


@dataclass(frozen=True)
class FieldFacts:
    """What the first records say of a field: how many have it, in how many it is text, how long.

    `name` is its path, `characters` the length of its text in all of them together.
    """

    name: str
    seen: int
    texts: int
    characters: int

    @property
    def is_text(self) -> bool:
        """Whether it is text in most of the records that have it."""
        return 2 * self.texts > self.seen


def field_value(values: dict[str, object], path: str) -> object:
    """Return the value at a path such as `title`, `meta.title` or `answers.text[0]`, or None.

    None is also what a record has that lacks the field. A field whose name is the whole path comes
    first; a name behind a list means that of each of its objects, as in `messages.content`. Raises
    TuillmError for what is no path.
    """
    if path in values:
        return values[path]
    value: object = values
    for step in _steps(path):
        value = _at(value, step)
    return value


def text_of(value: object) -> str:
    """Return a value as text: lists by lines, numbers as they are written, None as ''.

    Of an object its `text`, else its `content`, else the whole as JSON; '' for bytes that are no
    UTF-8 and for numbers that are none.
    """
    return _text(value, 0)


def fields_of(records: Iterable[Record]) -> list[str]:
    """Return the names of the fields in the first 1000 records, nested ones as paths."""
    return [facts.name for facts in field_facts(records)]


def field_facts(records: Iterable[Record]) -> list[FieldFacts]:
    """Return what the first 1000 records say of each field, in the order they come in.

    Objects are entered, lists of objects as well: the paths are those of `field_value`.
    """
    found: dict[str, list[int]] = {}
    for record in islice(records, _SAMPLE):
        for name, value in _leaves(record.values, "", 0):
            if name not in found and len(found) >= _MOST_FIELDS:
                continue
            counts = found.setdefault(name, [0, 0, 0])
            counts[0] += value is not None
            if _is_text(value):
                counts[1] += 1
                counts[2] += len(text_of(value))
    return [FieldFacts(name, *counts) for name, counts in found.items()]


def guess_text_field(records: Iterable[Record]) -> str:
    """Return the field that holds the text: by its name, else the one with the most text.

    Raises TuillmError where no field holds text.
    """
    facts = field_facts(records)
    texts = [one for one in facts if one.is_text and one.characters]
    if not texts:
        names = [one.name for one in facts]
        raise TuillmError("no field holds text" + (f"; there are {listed(names)}" if names else ""))
    for usual in _USUAL:
        for one in texts:
            if one.name.lower() == usual:
                return one.name
    return max(texts, key=lambda one: one.characters).name


def absent(records: Sequence[Record], path: str) -> bool:
    """Whether no record has a value at a path, nor a field of that name."""
    return path not in fields_of(records) and all(
        field_value(record.values, path) is None for record in records
    )


def missing_field(name: str, fields: list[str]) -> TuillmError:
    """Return the error for a field that no record has: it says which there are."""
    return TuillmError(
        f"there is no field {brief(name)}; there are {listed(fields)}"
        if fields
        else f"there is no field {brief(name)}, nor any other",
        did_you_mean(name, fields),
    )


def listed(names: Sequence[str]) -> str:
    """Return the first names of fields, as many as a line has room for."""
    shown: list[str] = []
    for name in names[:_SHOWN]:
        shown.append(shorten(one_line(name)) or repr(name))
        if sum(map(len, shown)) > _ROOM:
            break
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _steps(path: str) -> list[int | str]:
    """Cut a path into names and numbers; raises TuillmError."""
    steps: list[int | str] = []
    end = 0
    while found := _STEP.match(f".{path}", end):
        steps.append(int(found[1]) if found[1] else found[2])
        end = found.end()
    if end != len(path) + 1:
        raise TuillmError(
            f"{brief(path)} is no name of a field",
            "for example text, meta.title or answers.text[0]",
        )
    return steps


def _at(value: object, step: int | str) -> object:
    if isinstance(step, int):
        inside = isinstance(value, list) and -len(value) <= step < len(value)
        return value[step] if inside and isinstance(value, list) else None
    if isinstance(value, list):
        found = [each[step] for each in value if isinstance(each, dict) and step in each]
        return found or None
    return value.get(step) if isinstance(value, dict) else None


def _leaves(value: dict[str, object], path: str, depth: int) -> Iterator[tuple[str, object]]:
    """Yield the paths and values of all that is no object and no list of objects."""
    for key, inside in islice(value.items(), _MOST_FIELDS):
        name = f"{path}{key}"
        if depth < _DEEPEST and isinstance(inside, dict) and inside:
            yield from _leaves(inside, f"{name}.", depth + 1)
        elif depth < _DEEPEST and isinstance(inside, list) and _all_objects(inside):
            joined: dict[str, object] = {}
            for each in inside[:_SAMPLE]:
                joined |= dict.fromkeys(each)
            for step in joined:
                joined[step] = _at(inside, step)
            yield from _leaves(joined, f"{name}.", depth + 1)
        else:
            yield name, inside


def _all_objects(value: list[object]) -> bool:
    return bool(value) and all(isinstance(each, dict) for each in value)


def _is_text(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def _text(value: object, depth: int) -> str:
    if value is None or depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(text for each in value if (text := _text(each, depth + 1)))
    if isinstance(value, dict):
        for name in ("text", "content"):
            if name in value:
                return _text(value[name], depth + 1)
        return _json(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return ""
    return str(value)


def _json(value: object) -> str:
    try:
        return to_json(json.loads(json.dumps(value, default=str)))
    except (ValueError, TypeError, RecursionError):
        return ""
