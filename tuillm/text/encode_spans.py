"""Encodes ranges of a text store into a file of ids, on all processors, in order, resumable.

What is written is a plain array, as nanoGPT's `train.bin`; beside it, where only parts of a text
are learned, one byte a token. Knows stores, tokenizers and files; knows neither recipes nor splits.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tuillm.store.files import disk_error, read_json, write_json
from tuillm.text.bulk_encoding import BulkEncoder
from tuillm.text.progress_tick import Tick
from tuillm.text.text_store import TextStore
from tuillm.text.tokenizer import Tokenizer

_BATCH = 1 << 20
# text that is encoded between two moments at which the work can be taken up again
_COMMIT = 1 << 26
_ALL = -1
_STAGE = "encoding the text"
# ids, and whether each is learned where that is not all of them
_Found = tuple[NDArray[np.uint32], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Span:
    """A range of bytes, of one document; an end-of-text token follows where it is `whole`."""

    begin: int
    end: int
    whole: bool


@dataclass(frozen=True)
class Spans:
    """Spans in the order of a text, as arrays: there may be millions of them."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    whole: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, index: int) -> Span:
        return Span(int(self.begins[index]), int(self.ends[index]), bool(self.whole[index]))

    def __iter__(self) -> Iterator[Span]:
        return map(self.__getitem__, range(len(self)))

    @property
    def bytes(self) -> int:
        """How much text they are."""
        return int((self.ends - self.begins).sum())


@dataclass(frozen=True)
class Job:
    """What to encode into the files `NAME.bin` and `NAME.mask`; `opens` begins with end of text."""

    name: str
    spans: Spans
    opens: bool


def token_dtype(tokenizer: Tokenizer) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that holds every id."""
    return np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32


def encode_spans(
    store: TextStore, jobs: Iterable[Job], tokenizer: Tokenizer, folder: Path, tick: Tick
) -> None:
    """Write the ids of each job into `folder`, going on where an earlier process was killed.

    Of a store with learned ranges a `.mask` says of each token whether it is one. The text is in
    chat format then: its special tokens count as such and end its documents. `tick` is told how
    far and how fast it goes, and may end it. Raises DiskError.
    """
    jobs = list(jobs)
    pace = _Pace(sum(job.spans.bytes for job in jobs), tick)
    encoder = BulkEncoder(tokenizer, special=store.learned is not None)
    for job in jobs:
        _Writer(store, job, tokenizer, encoder, folder, pace).run()


class _Pace:
    """Tells how far the work is, and how fast."""

    def __init__(self, total: int, tick: Tick) -> None:
        self._total, self._tick, self._begun = max(total, 1), tick, monotonic()
        self._done = self._skipped = 0

    def add(self, size: int, *, skipped: bool = False) -> None:
        self._done += size
        self._skipped += size if skipped else 0
        seconds = monotonic() - self._begun
        rate = (self._done - self._skipped) / 1e6 / seconds if seconds > 1 else 0.0
        words = f"{_STAGE}, {rate:.1f} MB/s" if rate else _STAGE
        self._tick(words, min(self._done / self._total, 1.0))


class _Writer:
    """One job: batches of parts go through a pool of threads, and are written in their order."""

    def __init__(
        self,
        store: TextStore,
        job: Job,
        tokenizer: Tokenizer,
        encoder: BulkEncoder,
        folder: Path,
        pace: _Pace,
    ) -> None:
        self._store, self._job, self._pace, self._encoder = store, job, pace, encoder
        self._dtype = token_dtype(tokenizer)
        self._masked = store.learned is not None
        self._eot = None if self._masked else tokenizer.eot
        # names of special tokens, as conversations have them, may not be cut
        self._anywhere = tokenizer.kind == "char" and tokenizer.is_plain and not self._masked
        self._ids, self._mask = folder / f"{job.name}.bin", folder / f"{job.name}.mask"
        self._progress = folder / f"{job.name}.progress.json"

    def run(self) -> None:
        try:
            self._run()
        except OSError as error:
            raise disk_error(error, self._ids) from None

    def _run(self) -> None:
        done, length = self._taken_up()
        if done == _ALL:
            self._pace.add(self._job.spans.bytes, skipped=True)
            return
        with ExitStack() as opened:
            ids = opened.enter_context(_at(self._ids, length * np.dtype(self._dtype).itemsize))
            mask = opened.enter_context(_at(self._mask, length)) if self._masked else None
            if not done and self._job.opens and self._eot is not None:
                ids.write(np.array([self._eot], self._dtype).data)
            batches = _batches(self._store, self._job.spans, self._anywhere)
            for batch in islice(batches, done):
                self._pace.add(_size(batch), skipped=True)
            behind = 0
            for number, (batch, (found, learned)) in enumerate(self._encoded(batches), done + 1):
                ids.write(found.astype(self._dtype).data)
                if mask is not None and learned is not None:
                    mask.write(learned.data)
                behind += _size(batch)
                self._pace.add(_size(batch))
                if behind >= _COMMIT:
                    behind = 0
                    for file in filter(None, (ids, mask)):
                        file.flush()
                        os.fsync(file.fileno())
                    length = ids.tell() // np.dtype(self._dtype).itemsize
                    write_json(self._progress, {"batches": number, "length": length})
        write_json(self._progress, {"batches": _ALL, "length": 0})

    def _taken_up(self) -> tuple[int, int]:
        """Return how many batches are done and how many ids they are."""
        if not self._progress.exists():
            return 0, 0
        told = read_json(self._progress)
        return int(told["batches"]), int(told["length"])

    def _encoded(self, batches: Iterator[list[Span]]) -> Iterator[tuple[list[Span], _Found]]:
        threads = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
        waiting: deque[tuple[list[Span], Future[_Found]]] = deque()
        pool = ThreadPoolExecutor(threads or 1)
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(self._encode, batch)))
                if len(waiting) > 2 * (threads or 1):
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _encode(self, batch: list[Span]) -> _Found:
        texts = [self._store.text(span.begin, span.end) for span in batch]
        found = self._encoder.encode(texts, with_starts=self._masked)
        if found.starts is not None:
            return found.ids, self._learned(batch, found.starts, found.ends)
        if self._eot is None:
            return found.ids, None
        ends = found.ends[[span.whole for span in batch]]
        return np.insert(found.ids, ends, self._eot), None

    def _learned(
        self, batch: list[Span], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether each token begins in a learned range of the store."""
        sizes = np.array([span.end - span.begin for span in batch])
        shift = np.array([span.begin for span in batch]) - (np.cumsum(sizes) - sizes)
        counts = np.diff(ends, prepend=0)
        positions = starts + np.repeat(shift, counts)
        return self._store.is_learned(positions)


def _at(path: Path, size: int) -> BinaryIO:
    """Open a file for writing behind its first `size` bytes; what stands beyond is cut off."""
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _batches(store: TextStore, spans: Iterable[Span], anywhere: bool) -> Iterator[list[Span]]:
    """Cut spans into parts and gather these to about a megabyte of text; always the same way."""
    batch: list[Span] = []
    size = 0
    for span in spans:
        for begin, end in store.cuts(span.begin, span.end, _BATCH, anywhere=anywhere):
            batch.append(Span(begin, end, span.whole and end == span.end))
            size += end - begin
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _size(batch: list[Span]) -> int:
    return sum(span.end - span.begin for span in batch)
