"""The first document of a store in pieces: what of it is learned, which names are special tokens.

Knows stores and the settings of reading; reads no file.
"""

import re
from collections.abc import Iterator

from tuillm.store.workers.corpus_preview import Piece
from tuillm.text.chat_rendering import SPECIAL_TOKENS
from tuillm.text.read_options import ReadOptions
from tuillm.text.text_store import TextStore
from tuillm.text.tokenizer_json import END_OF_TEXT

_MOST_PIECES = 60
# of a text that is shown, and of one piece of a conversation: its beginning and its end
_SHOWN = 4000
_HEAD, _TAIL = 1000, 200


def first_document(
    store: TextStore, options: ReadOptions, template: str
) -> tuple[tuple[Piece, ...], bool]:
    """Return the pieces of the first document, and whether it goes on behind them.

    A conversation has its chat template's tokens in it; behind a plain text stands the token that
    ends it. `template` is "" for a corpus of plain texts.
    """
    begin, end = store.span(0)
    specials, end_token = _specials(options, conversations=bool(template))
    if store.learned is None:
        shown = min(end, begin + 4 * _SHOWN)
        text = store.content[begin:shown].decode(errors="ignore")
        if cut := len(text) > _SHOWN or shown < end:
            text = text[:_SHOWN]
        ending = [Piece(end_token, special=True)] if end_token and not cut else []
        return (Piece(text), *ending), cut
    pieces = [
        Piece(_shortened(part), learned, special)
        for text, learned in _parts(store, begin, end)
        for part, special in _split(text, specials)
    ]
    return tuple(pieces[:_MOST_PIECES]), len(pieces) > _MOST_PIECES


def _parts(store: TextStore, begin: int, end: int) -> Iterator[tuple[str, bool]]:
    """Yield the text of a document with whether it is learned."""
    assert store.learned is not None
    at = begin
    for start, stop in store.learned.T.tolist():
        if start >= end:
            break
        if start > at:
            yield store.text(at, start), False
        yield store.text(start, stop), True
        at = stop
    if at < end:
        yield store.text(at, end), False


def _split(text: str, specials: re.Pattern[str] | None) -> Iterator[tuple[str, bool]]:
    """Cut out the names of special tokens."""
    at = 0
    for found in specials.finditer(text) if specials else ():
        if found.start() > at:
            yield text[at : found.start()], False
        yield found[0], True
        at = found.end()
    if at < len(text):
        yield text[at:], False


def _specials(options: ReadOptions, *, conversations: bool) -> tuple[re.Pattern[str] | None, str]:
    """Return what finds special tokens in a conversation, and the name of the one ending a text."""
    if options.folder is None:
        return SPECIAL_TOKENS if conversations else None, END_OF_TEXT
    from tuillm.text.tokenizer_files import load_tokenizer

    tokenizer = load_tokenizer(options.folder)
    end = tokenizer.names.get(tokenizer.eot, "") if tokenizer.eot is not None else ""
    names = sorted(filter(None, tokenizer.names.values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names))) if names else None, end


def _shortened(text: str) -> str:
    if len(text) <= _HEAD + _TAIL:
        return text
    return f"{text[:_HEAD]}\n…\n{text[-_TAIL:]}"
