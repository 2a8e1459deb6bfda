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
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tuillm.store.files import disk_error, read_json, write_json
from tuillm.text.bulk_encoding import BulkEncoder
from tuillm.text.progress_tick import Pace, Tick
from tuillm.text.spans import Block, Span, Spans, cuts
from tuillm.text.text_store import TextStore
from tuillm.text.tokenizer import Tokenizer

_BATCH = 1 << 20
# text that is encoded between two moments at which the work can be taken up again
_COMMIT = 1 << 26
_ALL = -1
# ids, and whether each is learned where that is not all of them
Found = tuple[NDArray[np.uint32], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Job:
    """What to encode into the files `NAME.bin` and `NAME.mask`; `opens` begins with end of text."""

    name: str
    spans: Spans
    opens: bool


def token_dtype(tokenizer: Tokenizer) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that holds every id."""
    return np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32


class SpanEncoder:
    """Encodes parts of a store as a model is to read them; may be used from several threads.

    Of a store with learned ranges the text is in chat format: its special tokens count as such and
    end its documents. Else `eot`, None where there is none, follows each document that is whole.
    """

    def __init__(self, store: TextStore, tokenizer: Tokenizer) -> None:
        self._store, self.masked = store, store.learned is not None
        self._encoder = BulkEncoder(tokenizer, special=self.masked)
        self.eot = None if self.masked else tokenizer.eot
        # names of special tokens, as conversations have them, may not be cut
        self.cuts_anywhere = (
            tokenizer.kind == "char" and tokenizer.encoding is not None and not self.masked
        )

    def encode(self, batch: Block) -> Found:
        """Return the ids of spans, each short enough to be encoded at once."""
        found = self._encoder.encode(self._store.texts(batch), with_starts=self.masked)
        if found.starts is not None and found.stops is not None:
            return found.ids, self._learned(batch, found.starts, found.stops, found.ends)
        if self.eot is None:
            return found.ids, None
        return np.insert(found.ids, found.ends[batch.whole], self.eot), None

    def _learned(
        self,
        batch: Block,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Whether each token has some of a learned range of the store."""
        sizes = batch.sizes
        shift = np.repeat(batch.begins - (np.cumsum(sizes) - sizes), np.diff(ends, prepend=0))
        return self._store.is_learned(starts + shift, stops + shift)


def parts(store: TextStore, span: Span, *, anywhere: bool = False) -> Iterator[Block]:
    """Cut a span into the parts that are encoded one by one."""
    for begin, end in cuts(store.content, span.begin, span.end, _BATCH, anywhere=anywhere):
        whole = span.whole and end == span.end
        yield Block(np.array([begin]), np.array([end]), np.array([whole]))


def encode_spans(
    store: TextStore, jobs: Iterable[Job], tokenizer: Tokenizer, folder: Path, tick: Tick
) -> None:
    """Write the ids of each job into `folder`, going on where an earlier process was killed.

    Of a store with learned ranges a `.mask` says of each token whether it is one. `tick` is told
    how far and how fast it goes, and may end it. Raises DiskError.
    """
    jobs = list(jobs)
    pace = Pace("encoding the text", sum(job.spans.bytes for job in jobs), tick)
    encoder = SpanEncoder(store, tokenizer)
    for job in jobs:
        _Writer(store, job, encoder, token_dtype(tokenizer), folder, pace).run()


class _Writer:
    """One job: batches of parts go through a pool of threads, and are written in their order."""

    def __init__(
        self,
        store: TextStore,
        job: Job,
        encoder: SpanEncoder,
        dtype: type[np.uint16] | type[np.uint32],
        folder: Path,
        pace: Pace,
    ) -> None:
        self._store, self._job, self._pace, self._encoder = store, job, pace, encoder
        self._dtype = dtype
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
            self._pace.skip(self._job.spans.bytes)
            return
        with ExitStack() as opened:
            ids = opened.enter_context(_at(self._ids, length * np.dtype(self._dtype).itemsize))
            mask = opened.enter_context(_at(self._mask, length)) if self._encoder.masked else None
            if not done and self._job.opens and self._encoder.eot is not None:
                ids.write(np.array([self._encoder.eot], self._dtype).data)
            batches = self._job.spans.batches(
                self._store.content, _BATCH, anywhere=self._encoder.cuts_anywhere
            )
            for batch in islice(batches, done):
                self._pace.skip(batch.bytes)
            behind = 0
            for number, (batch, (found, learned)) in enumerate(self._encoded(batches), done + 1):
                ids.write(found.astype(self._dtype).data)
                if mask is not None and learned is not None:
                    mask.write(learned.data)
                behind += batch.bytes
                self._pace.add(batch.bytes)
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

    def _encoded(self, batches: Iterator[Block]) -> Iterator[tuple[Block, Found]]:
        threads = os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()
        waiting: deque[tuple[Block, Future[Found]]] = deque()
        pool = ThreadPoolExecutor(threads or 1)
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(self._encoder.encode, batch)))
                if len(waiting) > 2 * (threads or 1):
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _at(path: Path, size: int) -> BinaryIO:
    """Open a file for writing behind its first `size` bytes; what stands beyond is cut off."""
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file
