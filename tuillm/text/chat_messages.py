"""A conversation as the ids that a model reads: its folder's template, applied to the messages.

What the template writes is found apart from what people and models said, so that names of special
tokens that were typed stay text, and a reply stays the very ids that were sampled. Knows templates,
messages and tokenizers; knows no tree and no model.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError
from tuillm.formats.jinja_chat import THINK_CLOSE, THINK_OPEN, ChatTemplate, Message

if TYPE_CHECKING:
    from tuillm.text.tokenizer import Tokenizer

_MARK = re.compile("\ue000(\\d+)\ue001")
_PARTS = re.compile(f"({THINK_OPEN}|{THINK_CLOSE})")


@dataclass(frozen=True)
class Said:
    """One message: its role, its text, and the ids that were sampled for it, if they spell it.

    A special token, which spells nothing, is not among them.
    """

    role: str
    text: str
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A piece of what a model reads; `role` is '' for what the template wrote.

    `ids` are those of its text where they are known beforehand.
    """

    role: str
    text: str
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """What a model reads: `ids`, and the `pieces` of text that they stand for."""

    ids: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


def system_and_user(system: str, question: str) -> list[Said]:
    """Return the messages of a first question, behind a system text if there is one."""
    return [*([Said("system", system)] if system else []), Said("user", question)]


def encode_messages(
    template: ChatTemplate,
    messages: Sequence[Said],
    tokenizer: "Tokenizer",
    *,
    add_generation_prompt: bool = True,
    now: datetime | None = None,
    **variables: object,
) -> Prompt:
    """Return what a model reads of messages, up to where its reply begins.

    Raises TuillmError for a template that cannot be used or refuses these messages, and for the
    name of a special token in a text that the template rewrites: it could not be told from one.
    """

    def render(texts: Sequence[str]) -> str:
        found: list[Message] = [
            {"role": said.role, "content": text} for said, text in zip(messages, texts, strict=True)
        ]
        return template.render(
            found, add_generation_prompt=add_generation_prompt, now=now, **variables
        )

    whole = render([said.text for said in messages])
    for cut in (_as_one, _at_edges):
        spans = [(index, *span) for index, said in enumerate(messages) for span in cut(said.text)]
        pieces = _pieces(render(_marked(messages, spans)), messages, spans, tokenizer)
        if "".join(piece.text for piece in pieces) == whole:
            return Prompt(list(_encoded(pieces, tokenizer)), pieces)
    pattern = _special_names(tokenizer)[1]
    if typed := pattern.search("\n".join(said.text for said in messages)):
        raise TuillmError(
            f"the chat template rewrites what is said, and {typed[0]!r} is a special token's name",
            "say it without the name",
        )
    return Prompt(tokenizer.encode_special(whole), [Piece("", whole)])


def split_special(text: str, tokenizer: "Tokenizer") -> Iterator[tuple[str, int | None]]:
    """Yield the parts of what a template wrote: text, or a special token's name with its id."""
    names, pattern = _special_names(tokenizer)
    end = 0
    for found in pattern.finditer(text):
        if found.start() > end:
            yield text[end : found.start()], None
        yield found[0], names[found[0]]
        end = found.end()
    if end < len(text):
        yield text[end:], None


@lru_cache(4)
def _special_names(tokenizer: "Tokenizer") -> tuple[dict[str, int], re.Pattern[str]]:
    """Return the ids of the tokens that stand for no text by their names, and what finds these."""
    found = tokenizer.names.items()
    names = {name: id for id, name in found if name and not tokenizer.token_bytes(id)}
    longest = sorted(names, key=len, reverse=True)
    return names, re.compile("|".join(map(re.escape, longest)) or "(?!)")


def _as_one(text: str) -> list[tuple[int, int]]:
    return [(0, len(text))] if text else []


def _at_edges(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a text stands without the blanks that a template may strip off, and thoughts."""
    start = 0
    for part in _PARTS.split(text):
        core = part.strip()
        if core and part not in (THINK_OPEN, THINK_CLOSE):
            first = start + part.index(core)
            yield first, first + len(core)
        start += len(part)


def _marked(messages: Sequence[Said], spans: Sequence[tuple[int, int, int]]) -> list[str]:
    """Return the texts of messages with a mark instead of each span."""
    texts, ends = [""] * len(messages), [0] * len(messages)
    for number, (index, first, last) in enumerate(spans):
        texts[index] += f"{messages[index].text[ends[index] : first]}\ue000{number}\ue001"
        ends[index] = last
    return [text + said.text[end:] for text, said, end in zip(texts, messages, ends, strict=True)]


def _pieces(
    rendered: str,
    messages: Sequence[Said],
    spans: Sequence[tuple[int, int, int]],
    tokenizer: "Tokenizer",
) -> list[Piece]:
    """Return what a template made of marked messages, with their texts instead of the marks."""
    pieces = []
    for index, part in enumerate(_MARK.split(rendered)):
        if index % 2 == 0:
            pieces += [Piece("", part)] if part else []
            continue
        number = int(part)
        if number >= len(spans):
            return []
        message, first, last = spans[number]
        said = messages[message]
        ids = _ids_between(said, first, last, tokenizer) if said.ids else ()
        pieces.append(Piece(said.role, said.text[first:last], ids))
    return pieces


def _ids_between(said: Said, first: int, last: int, tokenizer: "Tokenizer") -> tuple[int, ...]:
    """Return the sampled ids that spell a part of a message, () where they are cut otherwise."""
    if (first, last) == (0, len(said.text)):
        return said.ids
    ends = [0, *accumulate(len(tokenizer.token_bytes(id)) for id in said.ids)]
    edges = len(said.text[:first].encode()), len(said.text[:last].encode())
    if not set(edges) <= set(ends):
        return ()
    return said.ids[ends.index(edges[0]) : len(ends) - 1 - ends[::-1].index(edges[1])]


def _encoded(pieces: list[Piece], tokenizer: "Tokenizer") -> Iterator[int]:
    """Yield the ids of pieces: sampled ones as they are, the texts between them as wholes."""
    # a text by itself begins with a blank there: only what a special token begins may be cut
    if tokenizer.decode(tokenizer.encode("a")).startswith(" "):
        pieces = _uncut(pieces, tokenizer)
    for sampled, group in groupby(pieces, key=lambda piece: bool(piece.ids)):
        run = list(group)
        if sampled:
            for piece in run:
                yield from piece.ids
        else:
            yield from _encode_run(run, tokenizer)


def _uncut(pieces: list[Piece], tokenizer: "Tokenizer") -> list[Piece]:
    """Return pieces with sampled ids only where a special token, or nothing, follows them."""
    found = []
    for index, piece in enumerate(pieces):
        rest = pieces[index + 1].text if index + 1 < len(pieces) else ""
        followed = next(split_special(rest, tokenizer), ("", 0))[1] is not None
        found.append(piece if followed else Piece(piece.role, piece.text))
    return found


@lru_cache(1024)
def _encode_special(tokenizer: "Tokenizer", text: str) -> tuple[int, ...]:
    """Return the ids of a text; what stands between two replies stays from turn to turn."""
    return tuple(tokenizer.encode_special(text))


def _encode_run(run: list[Piece], tokenizer: "Tokenizer") -> Iterator[int]:
    """Yield the ids of texts that follow one another, in which only the template names tokens."""
    pattern = _special_names(tokenizer)[1]
    if not any(pattern.search(piece.text) for piece in run if piece.role):
        yield from _encode_special(tokenizer, "".join(piece.text for piece in run))
        return
    plain = ""
    for piece in run:
        parts = [(piece.text, None)] if piece.role else split_special(piece.text, tokenizer)
        for text, id in parts:
            if id is None:
                plain += text
                continue
            yield from tokenizer.encode(plain)
            yield id
            plain = ""
    yield from tokenizer.encode(plain)
