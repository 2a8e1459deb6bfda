"""What a model learns from: what a person named, read into documents with their facts.

Knows sources and readers by their functions; does not know what a token is. Whatever was changed,
guessed or left out on the way is said in `Corpus.notes`.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, one_line
from tuillm.text.document_reader import DocumentReader
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.read_options import ReadOptions
from tuillm.text.sources.find_items import find_items
from tuillm.text.sources.items import Item, Skipped
from tuillm.text.text_store import StoreWriter, TextStore, open_store
from tuillm.text.web_cache import cached_path
from tuillm.units import several, size
from tuillm.urls import is_dataset, is_url
from tuillm.user_paths import user_path

_FORMAT = 1
_MOST_NOTES = 12


@dataclass(frozen=True)
class Corpus:
    """What a model learns from: documents in a store, and what is known about them.

    `template` is the chat template that conversations were written with, "" for plain texts.
    """

    store: TextStore
    label: str
    notes: tuple[str, ...]
    template: str = ""

    @classmethod
    def of(cls, documents: Iterable[str], label: str = "text") -> Self:
        """Return the corpus of texts that are in memory already."""
        with StoreWriter(f"memory-{os.getpid()}") as writer:
            for document in documents:
                writer.add([document])
            return cls(writer.finish(), label, ())

    @property
    def documents(self) -> tuple[str, ...]:
        """All documents; of a large corpus take `store.parts()`."""
        return tuple(self.store.documents())

    @property
    def text(self) -> str:
        """All documents in one string."""
        return self.store.text(0, self.store.bytes)

    @property
    def characters(self) -> int:
        """How many Unicode characters the documents have together."""
        return self.store.characters

    @property
    def bytes(self) -> int:
        """How many UTF-8 bytes the documents have together."""
        return self.store.bytes

    @property
    def sha256(self) -> str:
        """Hash of the documents, of where one ends and the next begins, and of what is learned."""
        return self.store.sha256


def read_corpus(
    sources: tuple[str, ...],
    encoding: str = "auto",
    *,
    as_text: bool = False,
    options: ReadOptions | None = None,
    tick: Tick = unwatched,
) -> Corpus:
    """Read files, folders, archives, tables, addresses and data sets into documents.

    `options` say how; without them `encoding` and `as_text` do. A corpus of over 64 MB is kept in
    the cache, and found there again as long as its files are the same. Raises TuillmError for a
    source that is missing, empty, binary or not in `encoding` (see `encodings.decode` for `auto`),
    and for records without the fields that are asked for. `tick` may end the work.
    """
    if not sources:
        raise TuillmError("no text was named", "tuillm train BOOK.txt")
    options = options or ReadOptions(TrainConfig(max_steps=1, encoding=encoding, as_text=as_text))
    key = _key(sources, options)
    if key and (known := _kept(key)):
        return known
    notes: list[str] = []
    items, skipped = find_items(
        sources,
        options.config.glob or "",
        tick,
        as_text=options.config.as_text,
        max_age=math.inf,
        note=notes.append,
    )
    reader = DocumentReader(options, tick)
    with StoreWriter(key or f"passing-{os.getpid()}") as writer:
        reader.read(items, writer)
        if not writer.documents:
            raise TuillmError(
                f"{_label(sources)} holds nothing to learn from",
                "a book of 10 KB or more is a good start",
            )
        found = found_words(items, skipped, writer.size)
        notes = [*([found] if found else []), *notes, *reader.notes]
        label, notes = _label(sources), _bounded(notes)
        store = writer.finish({"label": label, "notes": notes, "template": reader.template})
    return Corpus(store, label, tuple(notes), reader.template)


def found_words(items: Sequence[Item], skipped: Sequence[Skipped], size_of_text: int) -> str:
    """Say what was found in folders and archives: `12 files, 3 skipped (binary), 4.2 MB`."""
    if len(items) == 1 and not skipped:
        return ""
    reasons = ", ".join(dict.fromkeys(each.reason for each in skipped))
    parts = [
        several(len(items), "file"),
        f"{len(skipped):,} skipped ({reasons})" if skipped else "",
        size(size_of_text),
    ]
    return ", ".join(filter(None, parts))


def _bounded(notes: list[str]) -> list[str]:
    """Leave out what nobody reads to its end."""
    rest = len(notes) - _MOST_NOTES
    return notes if rest <= 0 else [*notes[:_MOST_NOTES], f"and {rest:,} more remarks on files"]


def _label(sources: Sequence[str]) -> str:
    if len(sources) > 1:
        return f"{len(sources)} texts"
    source = sources[0]
    return one_line(cached_path(source).name if is_url(source) else Path(source).name)


def _key(sources: Sequence[str], options: ReadOptions) -> str:
    """Return what tells a corpus on the disk from others, "" where nothing does: a hash.

    It is of where files are, how long, and when they were changed, and of the options.
    """
    told: list[object] = [_FORMAT, options.key]
    for source in sources:
        try:
            if not is_dataset(source):  # whose name is all that tells it from others
                path = cached_path(source) if is_url(source) else user_path(source)
                told += _stamps(Path(path))
            told.append(source)
        except (OSError, TuillmError):
            return ""
    return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _stamps(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """Yield path, inode, size and time of change of a file, or of each below a folder."""
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                found = os.stat(os.path.join(folder, name))
                yield os.path.join(folder, name), found.st_ino, found.st_size, found.st_mtime_ns
        return
    found = path.stat()
    yield str(path.absolute()), found.st_ino, found.st_size, found.st_mtime_ns


def _kept(key: str) -> Corpus | None:
    """Return the corpus of the cache under a key, if it is there."""
    found = open_store(key)
    if found is None:
        return None
    store, about = found
    with suppress(KeyError, TypeError):
        notes = tuple(map(str, about["notes"]))
        return Corpus(store, str(about["label"]), notes, str(about["template"]))
    return None
