"""What one training step reports, and the clock and counters behind it. Knows no model."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import cast

from tuillm.store.jsonl import MetricsRow


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step.

    Losses in nats per token, `bits_per_byte` in bits per UTF-8 byte, `elapsed` and `eta` in
    seconds without pauses, `mfu` as share of this machine's measured matrix speed, `epoch`
    and `progress` as fractions. Evaluations fill `val_loss`, `bits_per_byte` and `sample`;
    `best` marks the lowest loss so far; `last` the final step and why it is.
    """

    step: int
    train_loss: float
    lr: float
    grad_norm: float
    tokens_per_sec: float
    mfu: float
    elapsed: float
    eta: float | None
    epoch: float
    progress: float
    val_loss: float | None = None
    bits_per_byte: float | None = None
    sample: str | None = None
    best: bool = False
    last: str = ""

    def row(self) -> MetricsRow:
        """The step as a line of `metrics.jsonl`: what was not measured, or is no number, is not."""
        values = asdict(self)
        del values["sample"], values["best"], values["last"]
        measured = {
            key: round(value, 6) if isinstance(value, float) and key != "lr" else value
            for key, value in values.items()
            if value is not None and math.isfinite(value)
        }
        return cast(MetricsRow, measured)


class Stopwatch:
    """Seconds of work, pauses left out; `start` is what an earlier process had spent."""

    def __init__(self, start: float = 0.0) -> None:
        self._start = time.perf_counter() - start
        self._stopped_at: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        now = time.perf_counter() if self._stopped_at is None else self._stopped_at
        return now - self._start

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do not count the time spent in the block."""
        self._stopped_at = begin = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - begin
            self._stopped_at = None
