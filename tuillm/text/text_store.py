"""The documents of a corpus as UTF-8, one behind the other: in memory, or mapped from the cache.

A corpus of any size is read once, piece by piece, into a store; whatever comes after (counting,
splitting, learning a vocabulary, encoding) takes its parts from there. Knows bytes and where
documents end, and which of the bytes a model is to learn; knows nothing of sources and tokens.
"""

import hashlib
import os
import re
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import new_folder, read_json, write_json
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.temp_files import clear_leftovers

# a part of a document, in bytes; longer ones are cut where no token of any kind spans
PART = 1 << 22
_IN_MEMORY = 1 << 26
_KEEP_CACHED = 4
_PIECE = 1 << 24
_HALF = re.compile("[\ud800-\udfff]")
# where a word ends before a blank, or before a mark that ends a clause where no blanks are written;
# no blank of Unicode ends in these bytes (`tokenizer.slices` has the same rule for characters)
_BEHIND_WORD = re.compile(
    rb"(?:[!-~]|[\xc3-\xdf][\x80-\xbf]|[\xe0\xe4-\xed][\x80-\xbf]{2})(?=[ \n])"
    rb"|[\xe4-\xe9][\x80-\xbf]{2}(?=\xe3\x80[\x81\x82]|\xef\xbc[\x81\x8c\x9a\x9b\x9f])"
)
_SEARCHED = 1 << 16

Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class TextStore:
    """`content` [bytes] holds the documents, of which number i ends before `ends`[i].

    `learned` [2, R] are the begins and ends of the ranges of bytes that a model is to predict, in
    order and each within a document; None is all of them. `characters` counts Unicode characters.
    """

    content: NDArray[np.uint8]
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
        return self.content[begin:end].tobytes().decode()

    def cuts(
        self, begin: int, end: int, size: int = PART, *, anywhere: bool = False
    ) -> Iterator[tuple[int, int]]:
        """Cut a range into parts of about `size` bytes, between which no token spans.

        A run without any blank stays whole, however long; with `anywhere`, for tokens that are
        characters, it is cut as well.
        """
        find = self._behind_character if anywhere else self._behind_word
        while end - begin > size and (cut := find(max(begin + size - 4, begin), end)):
            yield begin, cut
            begin = cut
        if begin < end:
            yield begin, end

    def _behind_word(self, at: int, end: int) -> int | None:
        while at < end:
            stop = min(at + _SEARCHED, end)
            if found := _BEHIND_WORD.search(self.content[at:stop].tobytes()):
                return at + found.end()
            at = stop if stop == end else stop - 8  # what lies across is searched again
        return None

    def _behind_character(self, at: int, end: int) -> int:
        while at < end and self.content[at] & 0xC0 == 0x80:
            at += 1
        return at

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
        for index in range(len(self)):
            for begin, end in self.cuts(*self.span(index), anywhere=anywhere):
                yield index, self.text(begin, end)

    def count(self, begin: int, end: int) -> int:
        """Return how many characters a range of bytes has."""
        total = 0
        for at in range(begin, end, _PIECE):
            piece = self.content[at : min(at + _PIECE, end)]
            total += int(np.count_nonzero((piece & 0xC0) != 0x80))
        return total

    def byte_of(self, character: int) -> int:
        """Return at which byte a character begins, by its number; the end for those beyond."""
        for at in range(0, self.bytes, _PIECE):
            begins = (self.content[at : min(at + _PIECE, self.bytes)] & 0xC0) != 0x80
            here = int(np.count_nonzero(begins))
            if character < here:
                return at + int(np.flatnonzero(begins)[character])
            character -= here
        return self.bytes

    def is_learned(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the bytes at these positions are in learned ranges."""
        if self.learned is None:
            return np.ones(len(positions), np.bool_)
        begins, ends = self.learned
        if not len(begins):
            return np.zeros(len(positions), np.bool_)
        at = np.searchsorted(begins, positions, "right") - 1
        found: NDArray[np.bool_] = (at >= 0) & (positions < ends[np.maximum(at, 0)])
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
            self._write(_HALF.sub("\ufffd", piece).encode())
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
        ends = np.array(self._ends, np.int64)
        learned = None
        if self._masked:
            learned = np.array([self._learned_begins, self._learned_ends], np.int64)
        if self._staging is None:
            content = np.frombuffer(self._file.getbuffer(), np.uint8)  # type: ignore[attr-defined]
            store = TextStore(content.copy(), ends, learned, self.characters, "")
            return _hashed(store)
        self._file.flush()
        os.fsync(self._file.fileno())
        content = np.memmap(self._staging / "text", np.uint8, "r")
        digest = _hashed(TextStore(content, ends, learned, self.characters, "")).sha256
        np.save(self._staging / "ends.npy", ends)
        if learned is not None:
            np.save(self._staging / "learned.npy", learned)
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
            np.memmap(folder / "text", np.uint8, "r"),
            np.load(folder / "ends.npy"),
            np.load(learned) if learned.exists() else None,
            int(told["characters"]),
            str(told["sha256"]),
        )
        os.utime(folder)
        if store.bytes == len(store.content):
            return store, dict(told["about"])
    return None


def _hashed(store: TextStore) -> TextStore:
    """Return the store with its hash: of the documents, where they end, and what is learned."""
    digest = hashlib.sha256()
    for index in range(len(store)):
        begin, end = store.span(index)
        digest.update((end - begin).to_bytes(8, "little"))
        for at in range(begin, end, _PIECE):
            digest.update(store.content[at : min(at + _PIECE, end)].data)
    if store.learned is not None:
        digest.update(store.learned.tobytes())
    return TextStore(store.content, store.ends, store.learned, store.characters, digest.hexdigest())


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
