"""Reads what a person calls a book: files and addresses become one clean text with its facts.

Knows files, addresses and pipes; does not know what a token is. Whatever was changed or guessed
on the way is said in `Corpus.notes`.
"""

import hashlib
import math
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuillm.errors import TuillmError, printable
from tuillm.text.encodings import decode
from tuillm.text.file_types import recognize_binary, recognize_text, remarks_on
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.sources.source_names import missing_source, no_file, shown_source
from tuillm.text.web_cache import cached_path, charset_of, download
from tuillm.urls import is_url
from tuillm.user_paths import user_path

_PIECE = 1 << 24
_STAGE = "reading the text"


@dataclass(frozen=True)
class Corpus:
    """The text of one or more documents, in order, and what is known about it."""

    documents: tuple[str, ...]
    label: str
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """All documents in one string."""
        return "".join(self.documents)

    @property
    def characters(self) -> int:
        """How many Unicode characters the documents have together."""
        return sum(map(len, self.documents))

    @cached_property
    def bytes(self) -> int:
        """How many UTF-8 bytes the documents have together."""
        return sum(len(document.encode()) for document in self.documents)

    @cached_property
    def sha256(self) -> str:
        """Hash of the documents and of where one ends and the next begins."""
        digest = hashlib.sha256()
        for document in self.documents:
            content = document.encode()
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()


def read_corpus(
    sources: tuple[str, ...],
    encoding: str = "auto",
    *,
    as_text: bool = False,
    tick: Tick = unwatched,
) -> Corpus:
    """Read text files and http(s) addresses, each as one document.

    Raises TuillmError for a source that is missing, a directory, a pipe, empty, binary, or not in
    `encoding` (see `decoding.decode` for `auto`); unless `as_text`, also for a web page, JSON and
    whatever else is no plain text. `tick` may end the work.
    """
    if not sources:
        raise TuillmError("no text was named", "tuillm train BOOK.txt")
    documents, notes = [], []
    for source in sources:
        shown = shown_source(source)
        content = _read(source, as_text, tick)
        if not as_text and (found := recognize_binary(content)):
            raise found.refusal(shown)
        text, remarks = decode(
            content, shown, encoding, charset_of(source) if is_url(source) else ""
        )
        del content
        tick(_STAGE, 1.0)
        if not text.strip():
            raise TuillmError(f"{shown} is empty", "a book of 10 KB or more is a good start")
        if len(text) < 2:
            raise TuillmError(f"{shown} has only 1 character; there is nothing to learn from it")
        if not as_text and (found := recognize_text(text)):
            raise found.refusal(shown)
        documents.append(text)
        notes += [*remarks, *remarks_on(text, shown)]
    label = _label(sources[0]) if len(sources) == 1 else f"{len(sources)} texts"
    return Corpus(tuple(documents), label, tuple(notes))


def _label(source: str) -> str:
    return printable(cached_path(source).name if is_url(source) else Path(source).name)


def _read(source: str, as_text: bool, tick: Tick) -> bytes:
    if is_url(source):  # of whatever age: a run that goes on wants the text it began with
        path = download(source, as_text=as_text, max_age=math.inf)
    else:
        path = user_path(source)
    shown = shown_source(source)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise TuillmError(f"{shown} is a directory", f"name its files: {shown}/*.txt")
        if not stat.S_ISREG(kind):
            raise no_file(kind, shown)
        return _content(path, tick)
    except FileNotFoundError:
        raise missing_source(path, shown) from None
    except OSError as error:
        raise TuillmError(f"cannot read {shown}: {error.strerror}") from None


def _content(path: Path, tick: Tick) -> bytes:
    """Return the bytes of a file, read piece by piece."""
    pieces, done = [], 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size or 1
        while piece := file.read(_PIECE):
            pieces.append(piece)
            done += len(piece)
            tick(_STAGE, min(done / size, 1.0))
    return b"".join(pieces)
