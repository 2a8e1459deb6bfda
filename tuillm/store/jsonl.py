"""Files of one JSON object a line, read while another process may be writing them.

Whatever stands in a line, reading goes on with the next: a line that is damaged, torn or nested
beyond all measure is passed over. Knows the rows of metrics and the resume rule; knows no run.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeGuard, TypeVar, cast

from tuillm.formats.bounded_read import open_regular
from tuillm.formats.json_text import JsonObject

T = TypeVar("T")


class MetricsRow(TypedDict, total=False):
    """A line of `metrics.jsonl`: one step, or the mark of a resume, which has `resumed` alone.

    Both are numbers of steps; the figures are those of training.metrics.StepMetrics, and what was
    not measured, or was no finite number, is left out.
    """

    step: int
    resumed: int
    train_loss: float
    lr: float
    grad_norm: float
    tokens_per_sec: float
    mfu: float
    elapsed: float
    eta: float
    epoch: float
    progress: float
    val_loss: float
    bits_per_byte: float
    micro_batch: int
    loss_scale: float
    skipped: bool


@dataclass(frozen=True)
class Sample:
    """A line of `samples.jsonl`: the text that a run wrote after `step` steps."""

    step: int
    text: str


# the figures of a step that readers calculate with, beside its number
FIGURES = (
    "train_loss",
    "lr",
    "grad_norm",
    "tokens_per_sec",
    "mfu",
    "elapsed",
    "eta",
    "epoch",
    "progress",
    "val_loss",
    "bits_per_byte",
)
# a step beyond this is damage, and would not fit a float64 axis either
_STEPS = 2**53


def read_rows(path: Path, offset: int = 0, most: int = 1 << 30) -> tuple[list[JsonObject], int]:
    """Return the JSON objects of the whole lines from byte `offset` on, and the new offset.

    At most `most` bytes are read; the next call goes on behind them. A torn last line is left for
    the next call, damaged lines are passed over; a file that is missing or cannot be read is empty,
    and one that has shrunk is read from its beginning.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            if os.fstat(file.fileno()).st_size < offset:
                offset = 0
            file.seek(offset)
            content = file.read(most)
    except FileNotFoundError:
        return [], 0
    except OSError:  # a folder of that name, or none of our business
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    values = (parse_line(line) for line in whole.splitlines())
    return [row for row in values if isinstance(row, dict)], offset + len(whole)


def read_tail(path: Path, limit: int = 65_536) -> list[JsonObject]:
    """Return the JSON objects of the last whole lines, from at most `limit` bytes."""
    try:
        size = path.stat().st_size
    except OSError:
        return []
    return read_rows(path, max(size - limit, 0))[0]


def parse_line(line: bytes) -> object:
    """Return the JSON value of a line, None for one that is damaged."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # too many digits are a ValueError, too
        return None


def read_samples(path: Path, offset: int = 0, most: int = 1 << 30) -> tuple[list[Sample], int]:
    """Return the samples of a `samples.jsonl` from byte `offset` on, as `read_rows` reads."""
    rows, offset = read_rows(path, offset, most)
    return list(_samples(rows)), offset


def newest_sample(path: Path, step: int | None = None) -> Sample | None:
    """Return the last whole sample of a `samples.jsonl`, None where there is none.

    With a `step`, that of the model as it was then: the last one not after it.
    """
    samples = _samples(reversed(read_tail(path)))
    return next((each for each in samples if step is None or each.step <= step), None)


def _samples(rows: Iterable[JsonObject]) -> Iterator[Sample]:
    for row in rows:
        step, text = row.get("step"), row.get("text")
        if isinstance(step, int) and isinstance(text, str):
            yield Sample(step, text)


def read_metrics(path: Path, offset: int = 0) -> tuple[list[MetricsRow], int]:
    """Return the rows of a `metrics.jsonl` that may be calculated with, and the new offset.

    Each has a `step`, or is the mark `{"resumed": STEP}`; of FIGURES it holds those that are
    finite numbers.
    """
    rows, offset = read_rows(path, offset)
    return [calculable(row) for row in rows if is_step(row.get("step", row.get("resumed")))], offset


def latest_steps(rows: Iterable[MetricsRow]) -> Iterator[MetricsRow]:
    """Yield the steps among rows of metrics; what a resume took up again counts as it was then."""
    kept: list[MetricsRow] = []
    for row in rows:
        if "step" in row:
            rewind(kept, row["step"], lambda known: known["step"])
            kept.append(row)
    return iter(kept)


def rewind(kept: list[T], step: int, step_of: Callable[[T], float]) -> None:
    """Drop from the end of a list what is of `step` or later: it comes anew.

    The rule of a resumed run, whose steps replace the older ones.
    """
    while kept and step_of(kept[-1]) >= step:
        kept.pop()


def calculable(row: JsonObject) -> MetricsRow:
    """Return a row of metrics, with a step or a mark, without FIGURES that are no finite numbers.

    What else it holds stays in it.
    """
    kept = {key: value for key, value in row.items() if key not in FIGURES or _is_figure(value)}
    return cast(MetricsRow, kept)


def is_step(value: object) -> TypeGuard[int]:
    """Whether a value is the number of a step."""
    return type(value) is int and 0 <= value < _STEPS


def _is_figure(value: object) -> bool:
    try:
        return (type(value) is int or type(value) is float) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False
