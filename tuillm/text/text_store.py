"""The documents of a corpus as UTF-8, one behind the other: in memory, or in a file of the cache.

A corpus of any size is read once, piece by piece, into a store; whatever comes after (counting,
splitting, learning a vocabulary, encoding) takes its parts from there. Knows bytes and where
documents end, and which of the bytes a model is to learn; knows nothing of sources and tokens.
"""

import hashlib
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import new_folder, read_json, write_json
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.temp_files import clear_leftovers
from tuillm.text.encodings import HALF
from tuillm.text.file_bytes import FileBytes
from tuillm.text.spans import Block, Content, Spans, cuts

# a part of a document, in bytes; longer ones are cut where no token of any kind spans
PART = 1 << 22
_IN_MEMORY = 1 << 26
_KEEP_CACHED = 4
_PIECE = 1 << 22
# documents that are hashed, and bytes between ranges that are read along with them
_DOCUMENTS = 1 << 14
_GAP = 1 << 12

Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class TextStore:
    """`content` [bytes] holds the documents, of which number i ends before `ends`[i].

    `learned` [2, R] are the begins and ends of the ranges of bytes that a model is to predict, in
    order and each within a document; None is all of them. `characters` counts Unicode characters.
    """

    content: Content
    ends: NDArray[np.int64]
    learned: NDArray[np.int64] | None
    characters: int
    sha256: str

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def bytes(self) -> int:
        """How many UTF-8 bytes the documents have together."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def span(self, index: int) -> tuple[int, int]:
        """Return where document `index` begins and ends, in bytes."""
        return int(self.ends[index - 1]) if index else 0, int(self.ends[index])

    def text(self, begin: int, end: int) -> str:
        """Return the text of a range of bytes, which cuts no character."""
        return self.content[begin:end].decode()

    def texts(self, block: Block) -> list[str]:
        """Return the texts of several ranges; those that lie close together are read at once."""
        apart = np.flatnonzero(block.begins[1:] - block.ends[:-1] > _GAP) + 1
        texts: list[str] = []
        for first, last in pairwise([0, *apart.tolist(), len(block.begins)]):
            if first == last:
                continue
            begins, ends = block.begins[first:last].tolist(), block.ends[first:last].tolist()
            content, shift = self.content[begins[0] : ends[-1]], begins[0]
            texts += [
                content[begin - shift : end - shift].decode()
                for begin, end in zip(begins, ends, strict=True)
            ]
        return texts

    def cuts(
        self, begin: int, end: int, size: int = PART, *, anywhere: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Cut a range into parts of about `size` bytes, between which no token spans.

        A run without any blank stays whole, however long; with `anywhere`, for tokens that are
        characters, it is cut as well.
        """
        return cuts(self.content, begin, end, size, anywhere=anywhere)

    def longest_run(self, least: int) -> int:
        """Return about how many bytes the longest run without a word's end has, 0 below `least`."""
        longest = 0
        for index in np.flatnonzero(np.diff(self.ends, prepend=0) > least).tolist():
            parts = self.cuts(*self.span(index), PART)
            longest = max(longest, *(end - begin - PART for begin, end in parts))
        return longest if longest >= least else 0

    def documents(self) -> Iterator[str]:
        """Yield the whole text of each document, which may be long."""
        for index in range(len(self)):
            yield self.text(*self.span(index))

    def parts(self, *, anywhere: bool = False) -> Iterator[tuple[int, str]]:
        """Yield, in order, the number of each document with a part of its text, as by `cuts`."""
        index = 0
        for block in Spans(self.ends, 0, self.bytes).batches(self.content, PART, anywhere=anywhere):
            for text, is_last in zip(self.texts(block), block.whole.tolist(), strict=True):
                yield index, text
                index += is_last

    def count(self, begin: int, end: int) -> int:
        """Return how many characters a range of bytes has."""
        return sum(
            int(np.count_nonzero(_begins(self.content[at : min(at + _PIECE, end)])))
            for at in range(begin, end, _PIECE)
        )

    def byte_of(self, character: int) -> int:
        """Return at which byte a character begins, by its number; the end for those beyond."""
        for at in range(0, self.bytes, _PIECE):
            begins = _begins(self.content[at : min(at + _PIECE, self.bytes)])
            here = int(np.count_nonzero(begins))
            if character < here:
                return at + int(np.flatnonzero(begins)[character])
            character -= here
        return self.bytes

    def is_learned(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether learned ranges have any of the bytes from each of `starts` to its stop."""
        if self.learned is None:
            return np.ones(len(starts), np.bool_)
        begins, ends = self.learned
        if not len(begins):
            return np.zeros(len(starts), np.bool_)
        at = np.searchsorted(begins, np.maximum(stops, starts + 1), "left") - 1
        found: NDArray[np.bool_] = (at >= 0) & (starts < ends[np.maximum(at, 0)])
        return found


class StoreWriter:
    """Takes documents piece by piece; what grows beyond 64 MB goes to the cache, under `key`.

    A store that is there under its key already is what `open_store` returns.
    """

    def __init__(self, key: str) -> None:
        self._key, self._stack = key, ExitStack()
        self._staging: Path | None = None
        self._file: BinaryIO = BytesIO()
        self._size = self._begun = self.characters = 0
        # 8 bytes a number: there may be millions of short documents
        self._ends = array("q")
        self._learned_begins, self._learned_ends = array("q"), array("q")
        self._masked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, pieces: Iterable[str], learned: Ranges | None = None) -> bool:
        """Append a document; return whether it had any text, else it is left out.

        `learned` are ranges of its bytes, None for all of it.
        """
        for piece in pieces:
            self.characters += len(piece)
            self._write(HALF.sub("\ufffd", piece).encode())
        if self._size == self._begun:
            return False
        if learned is not None:
            if not self._masked:  # of those so far all is learned
                self._masked = True
                self._learned_begins = array("q", [0, *self._ends[:-1]] if self._ends else [])
                self._learned_ends = self._ends[:]
            for begin, end in learned:
                self._learn(self._begun + begin, self._begun + end)
        elif self._masked:
            self._learn(self._begun, self._size)
        self._begun = self._size
        self._ends.append(self._size)
        return True

    @property
    def documents(self) -> int:
        """How many documents there are so far."""
        return len(self._ends)

    @property
    def size(self) -> int:
        """How many bytes they have."""
        return self._size

    def finish(self, about: JsonObject | None = None) -> TextStore:
        """Return the store; raises DiskError where it has no room in the cache.

        `about` is kept with one that is in the cache.
        """
        learned = (self._learned_begins, self._learned_ends) if self._masked else None
        if self._staging is None:
            content = self._file.getvalue()  # type: ignore[attr-defined]
            digest = _hash(content, self._ends, learned)
            ranges = None if learned is None else np.array(learned, np.int64)
            ends = np.array(self._ends, np.int64)
            return TextStore(content, ends, ranges, self.characters, digest)
        self._file.flush()
        os.fsync(self._file.fileno())
        digest = _hash(FileBytes(self._staging / "text"), self._ends, learned)
        _save(self._staging / "ends.npy", self._ends)
        if learned is not None:
            _save(self._staging / "learned.npy", *learned)
        # the files are read from now on: of many short documents these are as large as their text
        self._ends, self._learned_begins, self._learned_ends = array("q"), array("q"), array("q")
        told = {"characters": self.characters, "sha256": digest, "about": about or {}}
        write_json(self._staging / "meta.json", told)
        self._stack.close()  # it gets its name
        _forget_old(_folder(self._key))
        found = open_store(self._key)
        if found is None:
            raise TuillmError("the copy of the text in the cache is gone already", "try again")
        return found[0]

    def _learn(self, begin: int, end: int) -> None:
        self._learned_begins.append(begin)
        self._learned_ends.append(end)

    def _write(self, content: bytes) -> None:
        if self._staging is None and self._size + len(content) > _IN_MEMORY:
            ensure_dir(_root())
            self._staging = self._stack.enter_context(new_folder(_folder(self._key)))
            before = self._file.getvalue()  # type: ignore[attr-defined]
            self._file = (self._staging / "text").open("wb")
            self._file.write(before)
        self._file.write(content)
        self._size += len(content)


def open_store(key: str) -> tuple[TextStore, JsonObject] | None:
    """Return the store of the cache under a key, and what was noted about it.

    None where there is none, or a damaged one.
    """
    folder = _folder(key)
    with suppress(OSError, EOFError, ValueError, KeyError, TypeError, TuillmError):
        told = read_json(folder / "meta.json")
        learned = folder / "learned.npy"
        store = TextStore(
            FileBytes(folder / "text"),
            np.load(folder / "ends.npy", mmap_mode="r"),
            np.load(learned, mmap_mode="r") if learned.exists() else None,
            int(told["characters"]),
            str(told["sha256"]),
        )
        os.utime(folder)
        if store.bytes == len(store.content):
            return store, dict(told["about"])
    return None


def _hash(content: Content, ends: "array[int]", learned: Iterable["array[int]"] | None) -> str:
    """Return the hash of a store: of the documents, where they end, and what is learned."""
    digest = hashlib.sha256()
    begin = 0
    for at in range(0, len(ends), _DOCUMENTS):
        block = ends[at : at + _DOCUMENTS]
        if block[-1] - begin > _PIECE:
            for end in block:
                digest.update((end - begin).to_bytes(8, "little"))
                for start in range(begin, end, _PIECE):
                    digest.update(content[start : min(start + _PIECE, end)])
                begin = end
            continue
        together, shift = content[begin : block[-1]], begin
        pieces: list[bytes] = []
        for end in block:
            pieces += (end - begin).to_bytes(8, "little"), together[begin - shift : end - shift]
            begin = end
        digest.update(b"".join(pieces))
    for numbers in learned or ():
        digest.update(numbers)
    return digest.hexdigest()


def _begins(content: bytes) -> NDArray[np.bool_]:
    """Whether a character begins at each byte: all but those of the form 10xxxxxx, -128 to -65."""
    found: NDArray[np.bool_] = np.frombuffer(content, np.int8) > -65
    return found


def _save(path: Path, *rows: "array[int]") -> None:
    """Write numbers as `np.save` writes an array [N], or [rows, N], without a copy of them."""
    shape = (len(rows[0]),) if len(rows) == 1 else (len(rows), len(rows[0]))
    about = {"descr": np.dtype(np.int64).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)
        for row in rows:
            row.tofile(file)


def _root() -> Path:
    return cache_dir() / "corpora"


def _folder(key: str) -> Path:
    return _root() / key


def _forget_old(keep: Path) -> None:
    """Keep the newest stores: they can always be made again."""
    clear_leftovers(_root())
    with suppress(OSError):
        entries = sorted(_root().glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for entry in entries[_KEEP_CACHED:]:
            if entry != keep:
                shutil.rmtree(entry, ignore_errors=True)
