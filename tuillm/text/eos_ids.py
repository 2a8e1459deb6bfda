"""Which ids end a text, by what the files beside a tokenizer say.

Folders of other models name their end in `tokenizer_config.json`, and ids that end a reply in
`generation_config.json` and `config.json`, where the latter is often a default that nobody meant.
Knows files; knows no tokenizer.
"""

from collections.abc import Callable
from pathlib import Path

from tuillm.formats.bounded_read import CONFIG_BYTES, TOKENIZER_CONFIG_BYTES, VOCABULARY_BYTES
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import read_json

_NAMING = ("tokenizer_config.json", "special_tokens_map.json")
_NUMBERING = ("generation_config.json", "config.json")


def ends_named(
    folder: Path, id_of: Callable[[str], int | None], can_end: Callable[[int], bool]
) -> tuple[int, ...]:
    """Return the ids that end a text in a model folder, the one named first; () if none is told.

    `id_of` gives the id of a token's content, `can_end` tells an id that stands for no ordinary
    piece of text: a default may hit one.
    """
    named = (id_of(content) for content in _contents(folder))
    numbered = (id for file in _NUMBERING for id in _ids(_beside(folder / file, CONFIG_BYTES)))
    found = [id for id in named if id is not None]
    found += [id for id in numbered if can_end(id)]
    return tuple(dict.fromkeys(found))


def added_of_older(folder: Path) -> list[JsonObject]:
    """Return what stands beside `vocab.json` and `merges.txt` as `tokenizer.json` would have it.

    Raises TuillmError for damaged files, AttributeError, TypeError or ValueError for odd ones.
    """
    told = _beside(folder / _NAMING[0], TOKENIZER_CONFIG_BYTES).get("added_tokens_decoder")
    if told:
        return [entry | {"id": int(id)} for id, entry in told.items()]
    mapped = _beside(folder / _NAMING[1], TOKENIZER_CONFIG_BYTES)
    special = set()
    for value in mapped.values():
        special |= {_content(each) for each in (value if isinstance(value, list) else [value])}
    added = _beside(folder / "added_tokens.json", VOCABULARY_BYTES)
    return [
        {"id": id, "content": content, "special": content in special}
        for content, id in added.items()
    ]


def _contents(folder: Path) -> list[str]:
    told = (_beside(folder / name, TOKENIZER_CONFIG_BYTES).get("eos_token") for name in _NAMING)
    return [content for value in told if (content := _content(value))]


def _content(value: object) -> str:
    """Return a token's content, which stands there itself or in an object."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _ids(told: JsonObject) -> list[int]:
    value = told.get("eos_token_id")
    values = value if isinstance(value, list) else [value]
    return [id for id in values if type(id) is int]


def _beside(path: Path, most: int) -> JsonObject:
    """Return what a file says that may be missing; raises TuillmError for a damaged one."""
    return read_json(path, most) if path.exists() else {}
