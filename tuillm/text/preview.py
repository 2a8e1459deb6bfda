"""The beginning of a corpus as a run will read it: which files, which fields, the first document.

Reads as `corpus.read_corpus` does, by the same DocumentReader, but only the first items and of each
its beginning, for a second or two at most. Knows neither the rest of a corpus nor its tokens.
"""

import io
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, one_line
from tuillm.store.workers.corpus_preview import FieldSample, Preview
from tuillm.text.conversation_records import path_of_text
from tuillm.text.corpus import Corpus, found_words
from tuillm.text.document_reader import WHOLE, DocumentReader
from tuillm.text.first_document import first_document
from tuillm.text.progress_tick import Enough
from tuillm.text.read_options import ReadOptions
from tuillm.text.sources.find_items import find_items
from tuillm.text.sources.items import Item, Record, Skipped
from tuillm.text.sources.open_item import head_of
from tuillm.text.sources.record_fields import field_facts, field_value, text_of
from tuillm.text.text_store import Ranges, StoreWriter, TextStore
from tuillm.units import size

_SECONDS = 1.0  # for looking for files, and again for reading
_MOST_ITEMS = 200
_MOST_RECORDS = 200
_MOST_FIELDS = 100
_BEGINNING = 1 << 20
_LARGEST_PDF = 1 << 20
_SAMPLE = 80
# of a text, in characters
_READ = 8000


def preview(config: TrainConfig) -> Preview:
    """Return what the beginning of a run's text tells; nothing is fetched.

    Raises TuillmError where there is no text at all; what is wrong with its records or its
    encoding is the preview's `problem`.
    """
    options, clock = ReadOptions.of(config), _Clock(_SECONDS, at_least=_MOST_ITEMS)
    items, skipped = find_items(
        config.corpus,
        config.glob or "",
        lambda stage, share: clock.check(),
        as_text=config.as_text,
        max_age=math.inf,
    )
    found = _found(items, skipped, whole=not clock.over)
    clock = _Clock(_SECONDS)
    items = [replace(each, open=_Timed.opener(each, clock)) for each in items[:_MOST_ITEMS]]
    reader = DocumentReader(options, lambda stage, share: None, most_records=_MOST_RECORDS)
    seen, store = Preview(found), None
    try:
        kinds = reader.choose(items) if items else []
        records = reader.first
        seen = _seen(found, reader, records) if records else seen
        store = _first(reader, items, kinds) if items else None
    except Enough:
        return replace(seen, fields=seen.fields or _samples(reader.first))
    except TuillmError as error:
        return replace(seen, fields=seen.fields or _samples(reader.first), problem=str(error))
    if store is None:
        problem = f"the first {len(records)} records hold nothing to learn from" if records else ""
        return replace(seen, problem=problem)
    return _with_document(seen, store, options, reader.template)


def completed(seen: Preview | None, corpus: Corpus, options: ReadOptions) -> Preview | None:
    """Return a preview with the first document of the whole corpus, where it has none yet."""
    if seen is None or seen.document or seen.problem:
        return seen
    return _with_document(seen, corpus.store, options, corpus.template)


def _with_document(seen: Preview, store: TextStore, options: ReadOptions, template: str) -> Preview:
    document, cut = first_document(store, options, template)
    return replace(seen, document=document, cut=cut)


def _found(items: list[Item], skipped: list[Skipped], *, whole: bool) -> str:
    """Say how many files there are and how large they are, as far as that is known."""
    sizes = [each.size for each in items]
    total = sum(filter(None, sizes))
    words = found_words(items, skipped, total) or (size(total) if all(sizes) else "")
    return words if whole or not words else f"at least {words}"


def _seen(found: str, reader: DocumentReader, records: list[Record]) -> Preview:
    """Return what the first records tell, and the fields that were chosen."""
    fields = reader.fields
    chosen = {"text": reader.text_field}
    if reader.form == "chat":
        chosen = {"chat": fields.chat}
    elif reader.form != "text":
        names = {"question": fields.question, "answer": fields.answer, "context": fields.context}
        chosen = {role: _full_path(records, name) for role, name in names.items() if name}
    return Preview(found, _samples(records), reader.form, chosen)


def _full_path(records: Iterable[Record], name: str) -> str:
    """Return where in a field its first text stands: `answers.text[0]` for `answers`."""
    for record in records:
        value = field_value(record.values, name)
        if text_of(value):
            return name + path_of_text(value)
    return name


def _samples(records: list[Record]) -> tuple[FieldSample, ...]:
    """Return each field of the records with the first value of it that is not empty."""
    found = []
    for facts in field_facts(records)[:_MOST_FIELDS]:
        texts = (text_of(field_value(record.values, facts.name)) for record in records)
        sample = one_line(next(filter(None, texts), "")[: 4 * _SAMPLE])
        sample = sample if len(sample) <= _SAMPLE else f"{sample[: _SAMPLE - 1]}…"
        found.append(FieldSample(facts.name, sample, facts.is_text))
    return tuple(found)


def _first(reader: DocumentReader, items: list[Item], kinds: list[str]) -> TextStore | None:
    """Return a store of the first document that has text, of a long text its beginning."""
    shortened = [
        _beginning(item) if kind == "text" else item
        for item, kind in zip(items, kinds, strict=True)
    ]
    if kinds[0] == "pdf" and (items[0].size or math.inf) > _LARGEST_PDF:
        raise Enough
    with StoreWriter(f"preview-{os.getpid()}") as writer:
        for pieces, learned in reader.documents(shortened, kinds):
            if writer.add(_some(pieces, learned), learned):
                return writer.finish()
    return None


def _some(pieces: Iterable[str], learned: Ranges | None) -> Iterator[str]:
    """Yield the beginning of a text; of a conversation all, since its answer stands at its end."""
    left = _READ
    for piece in pieces:
        yield piece if learned is not None else piece[:left]
        left -= len(piece)
        if learned is None and left <= 0:
            return


def _beginning(item: Item) -> Item:
    """Return an item that ends after a megabyte, where a text is read as a whole, else itself."""
    if item.size is not None and not _BEGINNING < item.size <= WHOLE:
        return item  # it is short, or read in pieces anyway
    if item.size is None and len(head_of(item, WHOLE + 1)) > WHOLE:
        return item
    return replace(item, open=lambda: io.BytesIO(_cut(head_of(item, _BEGINNING + 1))))


def _cut(head: bytes) -> bytes:
    """Cut a text at the end of a line, so that no character is divided."""
    if len(head) <= _BEGINNING:
        return head
    if b"\0" in head:  # UTF-16 or UTF-32
        return head[: _BEGINNING & ~3]
    return head[: head.rfind(b"\n") + 1] or head[:_BEGINNING].rstrip(bytes(range(0x80, 0x100)))


class _Clock:
    """Ends work by `Enough` after some seconds, but not before it was checked `at_least` times."""

    def __init__(self, seconds: float, at_least: int = 0) -> None:
        self._end, self._least = time.monotonic() + seconds, at_least
        self.over = False

    def check(self) -> None:
        """Raise `Enough` when the time is over."""
        self._least -= 1
        if self._least < 0 and time.monotonic() > self._end:
            self.over = True
            raise Enough


class _Timed(io.RawIOBase):
    """A file that is read until the time is over."""

    def __init__(self, file: BinaryIO, clock: _Clock) -> None:
        self._file, self._clock = file, clock

    @classmethod
    def opener(cls, item: Item, clock: _Clock) -> Callable[[], BinaryIO]:
        """Return what opens an item so."""
        return lambda: io.BufferedReader(cls(item.open(), clock), _BEGINNING)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._clock.check()
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
