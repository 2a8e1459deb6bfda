"""The tokens in a GGUF file's entries: their names and kinds, and the roles that some have.

Knows llama.cpp's keys and ids; cuts no text.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tuillm.convert.gguf_names import (
    ADDED,
    CHAT_TEMPLATE,
    CONTROL,
    END_NAMES,
    NORMAL,
    PREFIX,
    UNKNOWN,
    UNUSED,
)
from tuillm.convert.gguf_reading import GGUFFile
from tuillm.errors import TuillmError, brief
from tuillm.formats.jinja_chat import LONGEST_TEMPLATE
from tuillm.formats.json_text import JsonObject

_MOST_ADDED = 20_000  # each text is looked through for all of them


class GGUFTokens:
    """The tokens of a file by id: `names`, `kinds`, `scores`, and `ids` by name.

    Raises TuillmError for a vocabulary that is damaged or larger than the `rows` of the weights.
    `notes` are sentences on what was left out.
    """

    def __init__(self, file: GGUFFile, rows: int) -> None:
        self.file, self.path, self.notes = file, file.path, list[str]()
        self.names: list[str] = self.texts("tokens")
        count = len(self.names)
        if not count:
            raise TuillmError(f"{self.path} has no tokenizer")
        if count > rows:
            raise self.damaged(f"its tokenizer has {count:,} entries, its weights {rows:,}")
        kinds = self._numbers("token_type", count)
        self.kinds: list[int] = [NORMAL] * count if kinds is None else kinds.tolist()
        self.scores = self._numbers("scores", count)
        # a piece without letters is none, and neither are those that fill the table up
        self.ids = {
            name: id
            for id, name in enumerate(self.names)
            if name and not (self.kinds[id] == UNUSED and self.scores is None)
        }
        empty = sum(not name for name in self.names)
        unused = self.kinds.count(UNUSED) if self.scores is None else 0
        if len(self.ids) + empty + unused < count:
            raise self.damaged("two of its tokens are the same")

    def get(self, key: str) -> Any:
        """Return the entry of a key, or None."""
        return self.file.entries.get(PREFIX + key)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, an empty one where there is none."""
        value = self.get(key)
        if value is None or (isinstance(value, np.ndarray) and not len(value)):
            return []
        if not isinstance(value, list):
            raise self.damaged(f"{PREFIX}{key} is no list of texts")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return whether something is told to be so."""
        value = self.get(key)
        if value is None:
            return default
        if type(value) is not bool:
            raise self.damaged(f"{PREFIX}{key} is {brief(value)}")
        return value

    def id(self, name: str, default: int | None = None) -> int | None:
        """Return the id of a token with a role; one beyond the vocabulary is that by default."""
        value = self.get(f"{name}_token_id")
        for each in (value, default):
            if type(each) is int and 0 <= each < len(self.names) and self.names[each]:
                return each
        return None

    def added(self, always: set[int | None]) -> Iterator[JsonObject]:
        """Yield tokens that are found in a text before it is cut: special ones, and a person's."""
        beside = sum(kind in (CONTROL, UNKNOWN, ADDED) for kind in self.kinds)
        if beside > _MOST_ADDED:
            raise self.damaged(
                f"it has {beside:,} added tokens, where {_MOST_ADDED:,} are the most"
            )
        for id, name in enumerate(self.names):
            special = self.kinds[id] in (CONTROL, UNKNOWN) or id in always
            if name and (special or self.kinds[id] == ADDED):
                yield {
                    "id": id,
                    "content": name,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": special,
                }

    def ends(self, eos: int | None) -> tuple[int, ...]:
        """Return all ids that end a reply, that of a text first."""
        named = [eos, self.id("eot"), self.id("eom")]
        named += [id for name in END_NAMES if self._is_control(id := self.ids.get(name, -1))]
        return tuple(dict.fromkeys(id for id in named if id is not None))

    def template(self) -> str:
        """Return the chat template, or "" without one."""
        value = self.file.text(CHAT_TEMPLATE) or ""
        others = [key for key in self.file.entries if key.startswith(f"{CHAT_TEMPLATE}.")]
        if others:
            self.notes.append(
                f"of its {len(others) + bool(value)} chat templates only the first was taken"
            )
        if len(value) > LONGEST_TEMPLATE:
            self.notes.append(f"its chat template of {len(value):,} characters was left out")
            return ""
        return value

    def damaged(self, reason: str) -> TuillmError:
        """Return the error that says so of the file."""
        return TuillmError(f"{self.path} is damaged: {reason}")

    def _is_control(self, id: int) -> bool:
        return id >= 0 and self.kinds[id] == CONTROL

    def _numbers(self, key: str, count: int) -> Any:
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or len(value) < count:
            raise self.damaged(f"{PREFIX}{key} does not tell it of every token")
        return value[:count]
