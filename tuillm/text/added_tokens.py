"""Tokens that stand beside a vocabulary: those that mark something, and whole texts with an id.

A special one (`</s>`, `<|im_end|>`) marks where a text ends or who speaks: no text comes to it, and
it shows nothing. The others are found in a text before anything else is cut, as Hugging Face's
`tokenizers` finds them. Knows a `tokenizer.json`; knows no vocabulary of pieces.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject

_MOST = 20_000  # each text is looked through for all of them
LARGEST_ID = 1 << 31
_FLAGS = ("special", "single_word", "lstrip", "rstrip", "normalized")
# Unicode's white space, which is not quite Python's
_BLANK = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
_BLANKS_BEHIND = re.compile(f"[{_BLANK}]*")
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class AddedToken:
    """One entry of `added_tokens`: its flags as in Hugging Face's format."""

    id: int
    content: str
    special: bool
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False


def added_tokens(spec: JsonObject) -> list[AddedToken]:
    """Return the added tokens of a `tokenizer.json`.

    Raises TuillmError where there are too many, and KeyError, TypeError or ValueError for entries
    that are damaged or contradict the vocabulary.
    """
    vocab, found = spec["model"]["vocab"], spec.get("added_tokens") or []
    if len(found) > _MOST:
        raise TuillmError(f"this tokenizer has {len(found):,} added tokens, more than {_MOST:,}")
    tokens = [_read(entry) for entry in found]
    ids = {id: content for content, id in vocab.items()}
    for token in tokens:
        if ids.setdefault(token.id, token.content) != token.content or (
            vocab.get(token.content, token.id) != token.id
        ):
            raise ValueError(f"two tokens have the id {token.id}, or one has two")
    return tokens


class AddedTexts:
    """Finds added tokens in a text."""

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        tokens = list(tokens)
        # those that are looked for in the text as it is come first
        self._rounds = [
            _Round(group)
            for normalized in (False, True)
            if (group := [one for one in tokens if one.normalized == normalized])
        ]
        # a text may not be cut before a line end when a token reaches over it
        self.tear = any("\n" in token.content or token.rstrip for token in tokens)

    def __bool__(self) -> bool:
        return bool(self._rounds)

    def split(self, text: str) -> Iterator[str | int]:
        """Yield the ids of the added tokens in a text, and the texts between them, in order."""
        parts: list[str | int] = [text]
        for each in self._rounds:
            parts = [
                piece
                for part in parts
                for piece in ([part] if isinstance(part, int) else each.split(part))
            ]
        return iter(parts)


class _Round:
    """Tokens that are looked for at the same time, the longest first."""

    def __init__(self, tokens: list[AddedToken]) -> None:
        self._tokens = {token.content: token for token in tokens}
        longest = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest)))

    def split(self, text: str) -> Iterator[str | int]:
        done = 0
        for match in self._pattern.finditer(text):
            token, start, stop = self._tokens[match[0]], match.start(), match.end()
            if token.single_word and (_is_word(text, start - 1) or _is_word(text, stop)):
                continue
            if token.lstrip:
                start = done + len(text[done:start].rstrip(_BLANK))
            if token.rstrip and (blanks := _BLANKS_BEHIND.match(text, stop)):
                stop = blanks.end()
            if done < start:  # else inside the blanks of the one before, which come back
                yield text[done:start]
            yield token.id
            done = stop
        if done < len(text):
            yield text[done:]


def _read(entry: JsonObject) -> AddedToken:
    flags = {name: bool(entry.get(name, False)) for name in _FLAGS}
    token = AddedToken(entry["id"], entry["content"], **flags)
    if type(token.id) is not int or not 0 <= token.id < LARGEST_ID:
        raise ValueError(f"the id of an added token is {token.id!r:.40}")
    if not isinstance(token.content, str) or not token.content:
        raise ValueError("an added token has no content")
    return token


def _is_word(text: str, index: int) -> bool:
    return 0 <= index < len(text) and bool(_WORD.match(text[index]))
