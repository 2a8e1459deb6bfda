"""Reads what a person calls a book: files and addresses become one clean text with its facts.

Knows files, addresses and pipes; does not know what a token is. Whatever was changed or guessed
on the way is said in `Corpus.notes`.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tuillm.errors import TuillmError, did_you_mean, printable
from tuillm.store.paths import cache_dir
from tuillm.text.encodings import decode
from tuillm.text.file_types import recognize_binary, recognize_text, remarks_on
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.text_store import StoreWriter, TextStore
from tuillm.text.web_cache import cached_path, charset_of, download
from tuillm.urls import is_url, public_url
from tuillm.user_paths import user_path

_PIECE = 1 << 24
_STAGE = "reading the text"


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
        return tuple(text for _, text in self.store.whole_documents())

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
    tick: Tick = unwatched,
) -> Corpus:
    """Read text files and http(s) addresses, each as one document.

    Raises TuillmError for a source that is missing, a directory, a pipe, empty, binary, or not in
    `encoding` (see `decoding.decode` for `auto`); unless `as_text`, also for a web page, JSON and
    whatever else is no plain text. `tick` may end the work.
    """
    if not sources:
        raise TuillmError("no text was named", "tuillm train BOOK.txt")
    notes: list[str] = []
    with StoreWriter("none") as writer:
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
                raise TuillmError(
                    f"{shown} has only 1 character; there is nothing to learn from it"
                )
            if not as_text and (found := recognize_text(text)):
                raise found.refusal(shown)
            writer.add([text])
            notes += [*remarks, *remarks_on(text, shown)]
        store = writer.finish()
    label = _label(sources[0]) if len(sources) == 1 else f"{len(sources)} texts"
    return Corpus(store, label, tuple(notes))


def shown_source(source: str) -> str:
    """Return a source as it may be shown: an address without secrets, and without odd bytes."""
    if is_url(source):
        return printable(public_url(source))
    if pipes_dir() in Path(source).parents:
        name = Path(source).name
        return "standard input" if name == "stdin" else f"the pipe {printable(name)}"
    return printable(source)


def pipes_dir() -> Path:
    """Where what came through pipes is kept."""
    return cache_dir() / "pipes"


def _label(source: str) -> str:
    return printable(cached_path(source).name if is_url(source) else Path(source).name)


def _read(source: str, as_text: bool, tick: Tick) -> bytes:
    path = download(source, as_text=as_text) if is_url(source) else user_path(source)
    shown = shown_source(source)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise TuillmError(f"{shown} is a directory", f"name its files: {shown}/*.txt")
        if not stat.S_ISREG(kind):
            raise TuillmError(
                f"{shown} is {kind_words(kind)}, which can be read only once",
                "save the text to a file, or name it to tuillm train",
            )
        return _content(path, tick)
    except FileNotFoundError:
        raise _missing(path, shown) from None
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


def _missing(path: Path, shown: str) -> TuillmError:
    if cache_dir() in path.parents:
        return TuillmError(
            f"the copy of the text, {printable(str(path))}, is no longer in the cache",
            "name the text again: tuillm train TEXT",
        )
    beside = path.parent.glob("*") if path.parent.is_dir() else ()
    hint = did_you_mean(path.name, [entry.name for entry in beside if entry.is_file()])
    return TuillmError(f"{shown} does not exist", hint or "check the path")


def kind_words(kind: int) -> str:
    """Name what is neither a file nor a directory, by its mode."""
    return "a pipe" if stat.S_ISFIFO(kind) else "a socket" if stat.S_ISSOCK(kind) else "a device"
