"""Encodes many documents at once into numpy arrays: the same ids as `Tokenizer.encode`, faster.

Documents are joined by a mark that no text has, so that one call of the library takes them all;
vocabularies of characters are looked up in a table. Also tells where in the text each token
begins. Knows tokenizers and strings; knows no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tiktoken
from numpy.typing import NDArray

from tuillm.text.long_blanks import long_blanks
from tuillm.text.tokenizer import Tokenizer

# between documents; a batch that has it, which no person types, is encoded one by one
_MARK = "\x1d\x1e<|end of document|>\x1e\x1d"
# stand-ins for special tokens where characters are looked up: code points that are none
_STAND_INS = 0x10_FF00


@dataclass(frozen=True)
class Encoded:
    """`ids` [N] of several documents; `ends` [D]: before which of the ids each document ends.

    `starts` and `stops` [N] are the positions, in bytes of the documents put one behind the other,
    at which each token begins and ends; None where they were not asked for.
    """

    ids: NDArray[np.uint32]
    ends: NDArray[np.int64]
    starts: NDArray[np.int64] | None = None
    stops: NDArray[np.int64] | None = None


class BulkEncoder:
    """Encodes lists of documents; may be used from several threads at once.

    With `special`, the names of the tokenizer's special tokens in a text become those tokens, as
    chat templates write them; else they are plain text.
    """

    def __init__(self, tokenizer: Tokenizer, *, special: bool = False) -> None:
        self._tokenizer = tokenizer
        self._special = {name: id for id, name in tokenizer.names.items()} if special else {}
        self._mark_id = tokenizer.vocab_size
        self._encoding = self._table = None
        if marked := tokenizer.encoding:
            if tokenizer.kind == "char":
                self._table = self._code_points(marked)
            else:
                self._encoding = tiktoken.Encoding(
                    f"{marked.name}-marked",
                    pat_str=marked._pat_str,
                    mergeable_ranks=marked._mergeable_ranks,
                    special_tokens=self._special | {_MARK: self._mark_id},
                )
                self._names = {*self._special, _MARK}

    def encode(self, documents: Sequence[str], *, with_starts: bool = False) -> Encoded:
        """Return the ids of documents, none of which is empty."""
        joined = _MARK.join(documents)
        marks = len(documents) - 1
        if self._encoding is None and self._table is None or joined.count(_MARK) != marks:
            return self._one_by_one(documents, with_starts)
        if self._encoding is not None and long_blanks(joined):
            return self._one_by_one(documents, with_starts)
        if self._table is not None:
            ids = self._looked_up(joined, self._table)
        else:
            assert self._encoding is not None
            ids = self._encoding.encode_to_numpy(
                joined, allowed_special=self._names, disallowed_special=()
            )
        if ids is None:
            return self._one_by_one(documents, with_starts)
        return self._without_marks(ids, with_starts)

    def _without_marks(self, ids: NDArray[np.uint32], with_starts: bool) -> Encoded:
        is_mark = ids == self._mark_id
        at = np.flatnonzero(is_mark)
        ends = np.append(at - np.arange(len(at)), len(ids) - len(at)).astype(np.int64)
        kept = ids[~is_mark] if len(at) else ids
        return Encoded(kept, ends, *(self._offsets(kept) if with_starts else ()))

    def _offsets(self, ids: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Where ids begin and end, [2, N], in the bytes that they stand for."""
        lengths = self._lengths[ids]
        stops = np.cumsum(lengths)
        return np.stack([stops - lengths, stops])

    def _one_by_one(self, documents: Sequence[str], with_starts: bool) -> Encoded:
        parts, offsets, begin = [], [], 0
        for document in documents:
            found, where = self._one(document, with_starts)
            parts.append(np.array(found, np.uint32))
            if with_starts:
                offsets.append((self._offsets(parts[-1]) if where is None else where) + begin)
                begin += len(document.encode())
        ids = np.concatenate(parts) if parts else np.empty(0, np.uint32)
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return Encoded(ids, ends, *(np.concatenate(offsets, 1) if offsets else ()))

    def _one(
        self, document: str, with_starts: bool
    ) -> tuple[Sequence[int], NDArray[np.int64] | None]:
        """The ids of a document, and where they stand in it if their own bytes do not tell."""
        tokenizer = self._tokenizer
        if not self._special:
            return tokenizer.encode(document), None
        return (
            tokenizer.encode_located(document)
            if with_starts
            else (tokenizer.encode_special(document), None)
        )

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """How many bytes of a text each id stands for; of a special token those of its name."""
        tokenizer = self._tokenizer
        lengths = np.zeros(self._mark_id + 1, np.int64)
        for id in range(tokenizer.n_vocab):
            lengths[id] = len(tokenizer.token_bytes(id))
        for name, id in self._special.items():
            lengths[id] = len(name.encode())
        return lengths

    def _code_points(self, encoding: tiktoken.Encoding) -> NDArray[np.int64]:
        """Ids by code point, -1 for those that the vocabulary writes in bytes."""
        table = np.full(0x11_0000, -1, np.int64)
        for as_bytes, id in encoding._mergeable_ranks.items():
            if len(as_bytes) > 1 or as_bytes[0] < 0x80:
                table[ord(as_bytes.decode())] = id
        for index, special in enumerate([self._mark_id, *self._special.values()]):
            table[_STAND_INS + index] = special
        return table

    def _looked_up(self, joined: str, table: NDArray[np.int64]) -> NDArray[np.uint32] | None:
        stand_ins = [chr(_STAND_INS + index) for index in range(len(self._special) + 1)]
        if any(each in joined for each in stand_ins):
            return None
        for name, stand_in in zip([_MARK, *self._special], stand_ins, strict=True):
            joined = joined.replace(name, stand_in)
        points = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
        ids = table[points]
        if (unknown := np.flatnonzero(ids < 0)).size == 0:
            return ids.astype(np.uint32)
        parts, done = [], 0
        for at in unknown.tolist():  # rare characters, in bytes
            parts += [ids[done:at], np.array(self._tokenizer.encode(joined[at]), np.int64)]
            done = at + 1
        return np.concatenate([*parts, ids[done:]]).astype(np.uint32)
