"""The metrics of one run in numpy columns, followed while `metrics.jsonl` grows.

    feed = MetricsReader(run.metrics)            # where the reading stands
    batch = feed.next()                 # in a thread: some whole lines, parsed
    history.add(batch)                  # on the event loop: cheap

A resumed run takes up again at its checkpoint, so steps come twice: the rows from there on
are replaced by the new ones, as `store.run_folder.metric_rows` has it. Knows the file and its keys;
knows no widget, no thread and no clock.
"""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import open_regular
from tuillm.formats.json_text import JsonObject
from tuillm.store.jsonl import MetricsRow, calculable, is_step

Array = NDArray[Any]
Columns = dict[str, Array]

COLUMNS = (
    "step",
    "train_loss",
    "lr",
    "grad_norm",
    "tokens_per_sec",
    "mfu",
    "elapsed",
    "eta",
    "epoch",
    "progress",
)
EVALUATION = ("step", "val_loss", "bits_per_byte", "train_loss", "elapsed", "epoch")
# rows of a block: a run of a million steps has 31 of them, a short one a single one
_BLOCK = 32_768


@dataclass(frozen=True)
class Batch:
    """What one reading gave: columns with rising steps, and where the next reading begins.

    `more` says that further lines are waiting; `restarted` that the file has shrunk or been
    replaced and was read from its beginning, so what is known of it no longer holds.
    """

    offset: int
    more: bool = False
    restarted: bool = False
    columns: Columns = field(default_factory=dict)
    evaluations: Columns = field(default_factory=dict)
    resumed: tuple[int, ...] = ()
    last: MetricsRow | None = None


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of a run, an entry each: step int64, the others float32 (NaN: unknown)."""

    step: Array
    val_loss: Array
    bits_per_byte: Array
    train_loss: Array
    elapsed: Array
    epoch: Array


class MetricsReader:
    """Where the reading of one metrics file stands. One reading at a time, in any thread."""

    def __init__(self, path: Path, limit: int = 1 << 20) -> None:
        self.path = path
        self.offset = 0
        self._limit = limit

    def next(self) -> Batch:
        """Read on from where the last reading ended; raises TuillmError as `read_batch` does."""
        batch = read_batch(self.path, self.offset, self._limit)
        self.offset = batch.offset
        return batch


class History:
    """All steps of one run, as far as they have been read; what was replaced is gone.

    `version` changes with every change, `last` is the newest row as it stands in the file,
    `resumed` holds the steps at which the run was taken up again.
    """

    def __init__(self) -> None:
        self._steps, self._evaluations = _Table(COLUMNS), _Table(EVALUATION)
        self.resumed: list[int] = []
        self.last: MetricsRow = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, batch: Batch) -> None:
        """Take in what was read; a batch of a restarted file replaces everything."""
        if batch.restarted:
            self._steps, self._evaluations = _Table(COLUMNS), _Table(EVALUATION)
            self.resumed, self.last = [], {}
        if batch.columns:
            self._evaluations.cut(int(batch.columns["step"][0]))
            self._steps.add(batch.columns)
            self._evaluations.add(batch.evaluations)
        for step in batch.resumed:
            # marks after the point taken up belong to steps that are replaced now
            self.resumed = [known for known in self.resumed if known < step] + [step]
        self.last = batch.last or self.last
        self.version += bool(batch.restarted or batch.columns or batch.resumed)

    def column(self, name: str) -> Array:
        """A copy of one of COLUMNS: `step` as int64, the others as float32 with NaN for gaps."""
        return self._steps.column(name)

    def recent(self, name: str, count: int) -> Array:
        """The newest `count` values of a column; costs no more for a long run."""
        return self._steps.column(name, max(len(self) - count, 0))

    @property
    def evaluations(self) -> Evaluations:
        """The rows at which the model was evaluated."""
        return Evaluations(**{name: self._evaluations.column(name) for name in EVALUATION})

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and val_loss of the lowest evaluation, or None without one."""
        losses = self._evaluations.column("val_loss")
        finite = np.flatnonzero(np.isfinite(losses))
        if not finite.size:
            return None
        lowest = finite[np.argmin(losses[finite])]
        return int(self._evaluations.column("step")[lowest]), float(losses[lowest])


def read_batch(path: Path, offset: int = 0, limit: int = 1 << 20) -> Batch:
    """Read about `limit` bytes of whole lines from byte `offset` on; may run in a thread.

    A torn last line is left for the next time, damaged lines and unknown rows are passed over,
    a missing file is empty. Raises TuillmError when the file cannot be read.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            restarted = offset > 0 and not _continues(file, offset, size)
            offset = 0 if restarted else offset
            content = _content(file, offset, limit)
    except FileNotFoundError:
        return Batch(0, restarted=offset > 0)
    except OSError as error:
        raise TuillmError(f"{path} cannot be read: {error.strerror or error}") from None
    whole = content[: content.rfind(b"\n") + 1]
    more = bool(whole) and offset + len(content) < size
    return _batch(_rows(whole), Batch(offset + len(whole), more, restarted))


class _Table:
    """Columns with rising steps in blocks of one size, so that growing copies nothing."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._blocks: dict[str, list[Array]] = {name: [] for name in names}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def column(self, name: str, start: int = 0) -> Array:
        """A copy of a column from row `start` on."""
        parts = [np.empty(0, _dtype(name))]
        for number in range(start // _BLOCK, -(-self._length // _BLOCK)):
            before = number * _BLOCK
            parts.append(self._blocks[name][number][max(start - before, 0) : self._length - before])
        return np.concatenate(parts)

    def cut(self, step: int) -> None:
        """Drop the rows from `step` on."""
        if self._length and self._last_step() >= step:
            self._length = int(np.searchsorted(self.column("step"), step))
            for blocks in self._blocks.values():
                del blocks[-(-self._length // _BLOCK) :]

    def add(self, columns: Columns) -> None:
        """Append rows; those known from their first step on are replaced."""
        if not columns:
            return
        self.cut(int(columns["step"][0]))
        done, count = 0, len(columns["step"])
        while done < count:
            number, start = divmod(self._length, _BLOCK)
            take = min(_BLOCK - start, count - done)
            for name, blocks in self._blocks.items():
                if number == len(blocks):
                    blocks.append(np.empty(_BLOCK, _dtype(name)))
                blocks[number][start : start + take] = columns[name][done : done + take]
            self._length, done = self._length + take, done + take

    def _last_step(self) -> int:
        number, start = divmod(self._length - 1, _BLOCK)
        return int(self._blocks["step"][number][start])


def _continues(file: BinaryIO, offset: int, size: int) -> bool:
    """Whether `offset` still is a beginning of a line: if not, this is another file."""
    if size < offset:
        return False
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _content(file: BinaryIO, offset: int, limit: int) -> bytes:
    file.seek(offset)
    content = file.read(limit)
    while b"\n" not in content and (piece := file.read(limit)):
        content += piece  # a line longer than the limit
    return content


def _rows(whole: bytes) -> list[object]:
    """The JSON values of whole lines: all at once, one by one only where a line is damaged."""
    try:
        rows: list[object] = json.loads(b"[" + whole[:-1].replace(b"\n", b",") + b"]")
        if len(rows) == whole.count(b"\n"):
            return rows
    except (ValueError, RecursionError):
        pass
    rows = []
    for line in whole.split(b"\n"):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return rows


def _batch(values: list[object], empty: Batch) -> Batch:
    """Fill a batch with what the rows hold; within it, too, a step taken again replaces."""
    rows = [row for row in values if isinstance(row, dict)]
    resumed = tuple(row["resumed"] for row in rows if is_step(row.get("resumed")))
    rows = [row for row in rows if is_step(row.get("step"))]
    if rows:
        steps = np.array([row["step"] for row in rows], np.int64)
        # a row stays when no later one has its step or an earlier one
        later = np.minimum.accumulate(steps[::-1])[::-1][1:]
        if (steps[:-1] >= later).any():
            stays = np.append(steps[:-1] < later, True)
            rows = [row for row, stay in zip(rows, stays, strict=True) if stay]
    evaluations = [row for row in rows if "val_loss" in row]
    return Batch(
        empty.offset,
        empty.more,
        empty.restarted,
        _columns(rows, COLUMNS),
        _columns(evaluations, EVALUATION),
        resumed,
        calculable(rows[-1]) if rows else None,
    )


def _columns(rows: list[JsonObject], names: tuple[str, ...]) -> Columns:
    return {name: _column(rows, name) for name in names} if rows else {}


def _column(rows: list[JsonObject], name: str) -> Array:
    values = [row.get(name, math.nan) for row in rows]
    with np.errstate(over="ignore"):
        try:
            column = np.array(values, _dtype(name))
            if column.ndim == 1:
                return column
        except (TypeError, ValueError, OverflowError):
            pass
        return np.array([_number(value) for value in values], _dtype(name))


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _dtype(name: str) -> type[np.generic]:
    return np.int64 if name == "step" else np.float32
