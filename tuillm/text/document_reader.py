"""Cuts what items hold into documents, and writes these into a store.

A document is a file, a line, a paragraph, a record or a conversation, as the options say. Knows
items and their readers; knows neither where items come from nor what a token is.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from tuillm.errors import TuillmError, brief
from tuillm.text.conversation_records import (
    ConversationFields,
    choose_fields,
    conversations_of,
    guess_format,
)
from tuillm.text.conversation_writer import ConversationWriter
from tuillm.text.encodings import decode
from tuillm.text.file_types import recognize, remarks_on
from tuillm.text.normalization import normalized
from tuillm.text.progress_tick import Tick
from tuillm.text.read_options import ReadOptions
from tuillm.text.reading_pace import ReadingPace
from tuillm.text.sources.gutenberg import cut_boilerplate
from tuillm.text.sources.hub_dataset import open_dataset, parse_dataset
from tuillm.text.sources.item_kinds import TABLES, kind_of
from tuillm.text.sources.items import Item, Record
from tuillm.text.sources.open_item import head_of, text_pieces
from tuillm.text.sources.read_document import read_document
from tuillm.text.sources.record_fields import (
    absent,
    field_value,
    fields_of,
    guess_text_field,
    missing_field,
    text_of,
)
from tuillm.text.sources.records import Records
from tuillm.text.sources.tables import read_records
from tuillm.text.text_store import Ranges, StoreWriter
from tuillm.units import several
from tuillm.urls import is_dataset

# a text of at most so many bytes is looked at as a whole
WHOLE = 1 << 26
_HEAD = 1 << 16
_LOOKED_AT = 200
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")

Document = tuple[Iterable[str], Ranges | None]


class DocumentReader:
    """Reads items one after the other; `notes` are what a person should know of them.

    Of records `form` says what they are; their fields are `fields`, or `text_field` for texts.
    """

    def __init__(
        self, options: ReadOptions, tick: Tick, *, most_records: int | None = None
    ) -> None:
        """`most_records` is how many of each table are read, None for all."""
        self.notes: list[str] = []
        self.template = ""  # what conversations are written with
        self._writer: ConversationWriter | None = None
        self.form = "text"
        self.fields = ConversationFields()
        self.text_field = ""
        self.first: list[Record] = []  # those that decided, until documents are read
        self._config, self._read_options, self._tick = options.config, options, tick
        self._pace = ReadingPace([], tick)
        self._most_records = most_records
        self._kept = self._without_answer = 0

    def read(self, items: list[Item], writer: StoreWriter) -> None:
        """Write the documents of all items; raises TuillmError for what cannot be read."""
        kinds = self.choose(items)
        for pieces, learned in self.documents(items, kinds):
            writer.add(pieces, learned)
        self._pace.end()
        self._tell()

    def choose(self, items: list[Item]) -> list[str]:
        """Decide by the first records what all are, and return the kind of each item."""
        kinds = ["text" if self._config.as_text else kind_of(item) for item in items]
        tables = [each for each in zip(items, kinds, strict=True) if each[1] in TABLES]
        if tables:
            self._choose_form(*tables[0], len(tables) < len(items))
        elif self._config.format not in ("auto", "text"):
            raise TuillmError(
                f"{items[0].name} is a plain text and has no records to be {self._config.format}",
                "a table (.jsonl, .csv, ...) has; leave --format out to learn the text",
            )
        return kinds

    def documents(self, items: list[Item], kinds: list[str]) -> Iterator[Document]:
        """Yield the documents of items whose kinds `choose` has returned."""
        self.first = []
        alone = len(items) == 1 and kinds[0] not in TABLES
        self._pace = ReadingPace(items, self._tick)
        documents = self._chosen(
            document
            for number, (item, kind) in enumerate(zip(items, kinds, strict=True))
            for document in self._documents(self._pace.watched(number, item), kind, alone)
        )
        if self._config.documents == "none":
            yield _joined(pieces for pieces, _ in documents), None
        else:
            yield from documents

    def _chosen(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield those of the fraction that is learned, the first among them, up to the limit."""
        share, seed, limit = self._config.fraction, self._config.seed, self._config.limit
        for number, document in enumerate(documents):
            if number == 0 or share == 1 or _draw(seed, number) < share:
                self._kept += 1
                yield document
            if limit and self._kept >= limit:
                return

    def _documents(self, item: Item, kind: str, alone: bool) -> Iterator[Document]:
        if kind in TABLES and self._config.documents == "file":
            yield _joined(pieces for pieces, _ in self._records(item, kind)), None
            return
        if kind in TABLES:
            yield from self._records(item, kind)
            return
        for pieces in self._cut(self._text(item, kind), alone):
            yield pieces, None

    def _text(self, item: Item, kind: str) -> Iterator[str]:
        """Yield the text of an item in pieces; of one that is not large in a single one."""
        if kind != "text":
            text = read_document(item, kind, notes=self.notes)
            yield self._normalized(self._whole(item, kind, text))
            return
        content = head_of(item, WHOLE + 1)
        self._refuse_other(item, content[:_HEAD])
        if len(content) <= WHOLE:
            text, remarks = decode(content, item.name, self._config.encoding, item.charset)
            self.notes += remarks
            yield self._normalized(self._whole(item, kind, text))
            return
        del content
        for piece in text_pieces(item, self.notes, self._config.encoding):
            yield self._normalized(piece)

    def _whole(self, item: Item, kind: str, text: str) -> str:
        """Return a whole text without what is not its author's, and note what is strange in it."""
        self._refuse_empty(item, text)
        if not self._config.keep_boilerplate:
            text, note = cut_boilerplate(text)
            self.notes += [f"{item.name}: {note}"] if note else []
        if kind == "text":
            self.notes += remarks_on(text, item.name)
        return text

    def _refuse_other(self, item: Item, head: bytes) -> None:
        """Raise for a file that a person named and that is no plain text."""
        if self._config.as_text or not item.named:
            return
        if found := recognize(head):
            raise found.refusal(item.name)

    def _refuse_empty(self, item: Item, text: str) -> None:
        if not item.named:
            return
        if not text.strip():
            raise TuillmError(f"{item.name} is empty", "a book of 10 KB or more is a good start")
        if len(text) < 2:
            raise TuillmError(
                f"{item.name} has only 1 character; there is nothing to learn from it"
            )

    def _cut(self, pieces: Iterator[str], alone: bool) -> Iterator[Iterable[str]]:
        """Cut a text into documents; of a text that is one the fraction is its beginning."""
        mode, share = self._config.documents, self._config.fraction
        if mode == "line":
            yield from ([line] for line in _lines(pieces) if line.strip())
        elif mode == "blank-line":
            yield from ([part] for part in _paragraphs(pieces) if part.strip())
        elif alone and share < 1:
            text = "".join(pieces)
            self.notes.append(f"the first {share:.0%} of the text are learned")
            yield [text[: max(int(len(text) * share), 2)]]
        else:
            yield pieces

    # records

    def _choose_form(self, item: Item, kind: str, mixed: bool) -> None:
        """Decide by the first records what all are: texts, questions or conversations."""
        options = self._config
        self.first = first = list(islice(self._records_of(item, kind, False), _LOOKED_AT))
        if not first:
            raise TuillmError(f"{item.name} has no records")
        names = list(dict.fromkeys(name for record in first for name in record.values))
        wants_text = options.text_field is not None or options.documents not in ("auto", "record")
        form = options.format
        if form == "auto":
            form = "text" if wants_text else guess_format(names)
        self.form = form
        if form != "text":
            if options.documents in ("none", "file", "line", "blank-line"):
                raise TuillmError(
                    f"documents cannot be {options.documents!r}: a conversation is one",
                    "leave --documents out, or --format text",
                )
            self._writer = ConversationWriter(self._read_options)
            self.template = self._writer.template
            if mixed:
                raise TuillmError(
                    f"{item.name} holds {form} records, and other files plain text",
                    "train on one kind at a time, or --format text",
                )
            self.fields = choose_fields(
                form,
                names,
                question=options.question_field or "",
                answer=options.answer_field or "",
                context=options.context_field or "",
            )
            self._refuse_absent(options.question_field, options.answer_field, options.context_field)
            return
        self._refuse_absent(options.text_field)
        self.text_field = options.text_field or guess_text_field(first)
        if not options.text_field and len(names) > 1:
            self.notes.append(f"of each record {brief(self.text_field)} is learned: --text-field")

    def _refuse_absent(self, *fields: str | None) -> None:
        """Raise for a field that was named and that no record has."""
        for path in fields:
            if path and absent(self.first, path):
                raise missing_field(path, fields_of(self.first))

    def _records(self, item: Item, kind: str) -> Iterator[Document]:
        records = self._records_of(item, kind, self._config.strict)
        for record in islice(records, self._most_records):
            if record.number % 1000 == 0:
                self._pace.tell()
            found, refused = False, self._refused
            for document in self._of_record(record):
                found = True
                yield document
            self._without_answer += not found and self._refused == refused
        self.notes += records.notes
        self._tell_broken(records)

    def _records_of(self, item: Item, kind: str, strict: bool) -> Records:
        """Return the records of a table or of a data set of the hub."""
        if is_dataset(item.name):
            return open_dataset(parse_dataset(item.name))
        return read_records(item, kind, strict=strict, encoding=self._config.encoding)

    def _of_record(self, record: Record) -> Iterator[Document]:
        options = self._config
        if self.form == "text":
            text = self._normalized(text_of(field_value(record.values, self.text_field)))
            if not text.strip():
                return
            for pieces in self._cut(iter([text]), False):
                yield pieces, None
            return
        every = options.answers == "each"
        for messages in conversations_of(record.values, self.fields, every_answer=every):
            for message in messages:
                message["content"] = self._normalized(message["content"])
            if self._writer and (written := self._writer.document(messages, record.number)):
                yield [written[0]], written[1]

    @property
    def _refused(self) -> int:
        return self._writer.left_out if self._writer else 0

    def _normalized(self, text: str) -> str:
        form = self._config.normalize
        return text if form == "none" else normalized(text, "NFC" if form == "nfc" else "NFKC")

    def _tell_broken(self, records: Records) -> None:
        if records.broken_count:
            numbers = ", ".join(f"{number:,}" for number in records.broken[:5])
            more = ", ..." if records.broken_count > 5 else ""
            self.notes.append(
                f"{records.name}: {several(records.broken_count, 'broken line')} "
                f"left out ({numbers}{more}): the first "
                f"{records.broken_reason}"
            )

    def _tell(self) -> None:
        words = {"qa": "question", "instruct": "instruction", "chat": "conversation"}
        if word := words.get(self.form, ""):
            more = "" if self._config.mask_prompt else ", learned with their prompts"
            self.notes.append(f"{self._kept:,} {word}s with answers{more}")
            if left_out := self._without_answer:
                self.notes.append(f"{left_out:,} records without an answer left out")
        self.notes += self._writer.notes(self._kept) if self._writer else []


def _draw(seed: int, number: int) -> float:
    """Return a number from 0 to 1 for a document, the same on every machine."""
    digest = blake2b(f"{seed} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _joined(texts: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield texts one behind the other, each on a line of its own."""
    last = "\n"
    for text in texts:
        for number, piece in enumerate(text):
            if number == 0 and not last.endswith("\n"):
                yield "\n"
            yield piece
            last = piece or last


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest: list[str] = []  # of a line that is not at its end
    for piece in pieces:
        first, *lines = piece.split("\n")
        rest.append(first)
        if lines:
            yield "".join(rest)
            yield from lines[:-1]
            rest = [lines[-1]]
    yield "".join(rest)


def _paragraphs(pieces: Iterable[str]) -> Iterator[str]:
    rest: list[str] = []  # of a paragraph that is not at its end
    blank: list[str] = []  # the white space behind it, in which a blank line may still come
    for piece in pieces:
        text = piece.rstrip()
        if text:
            first, *more = _PARAGRAPH.split("".join([*blank, text]))
            rest.append(first)
            if more:
                yield "".join(rest)
                yield from more[:-1]
                rest = [more[-1]]
            blank = []
        blank.append(piece[len(text) :])
    *parts, last = _PARAGRAPH.split("".join([*rest, *blank]))
    yield from parts
    yield last.rstrip("\n")
