"""What one training step reports, and the clock and counters behind it. Knows no model."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import cast

from tuillm.store.jsonl import MetricsRow

_SHOWN = ("step", "progress", "epoch", "elapsed", "eta", "train_loss", "tokens_per_sec")


@dataclass(frozen=True)
class StepMetrics:
    """One optimizer step.

    Losses in nats per token, `bits_per_byte` in bits per UTF-8 byte, `elapsed` and `eta` in
    seconds without pauses, `mfu` as share of this machine's measured matrix speed, `epoch`
    and `progress` as fractions; `micro_batch` is how many windows are computed at once where the
    memory does not hold a whole batch. In float16 `loss_scale` is the scale that the step had, and
    `skipped` is true where the gradients overflowed at it, so that no weight changed. Evaluations
    fill `val_loss`, `bits_per_byte` and `sample`; `best` marks the lowest loss so far; `last` the
    final step and why it is.
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
    micro_batch: int | None = None
    loss_scale: float | None = None
    skipped: bool | None = None
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

    def status(self) -> dict[str, object]:
        """What the run's status says of the step, and of the best model if this is it."""
        values: dict[str, object] = {key: getattr(self, key) for key in _SHOWN}
        if self.best:
            values |= {"best_step": self.step, "val_loss": self.val_loss}
            values["bits_per_byte"] = self.bits_per_byte
        return values

    def line(self) -> str:
        """What an evaluation came to, as a line of the log."""
        return (
            f"step {self.step:,}  train {self.train_loss:.3f}  val {self.val_loss:.3f}  "
            f"{self.bits_per_byte:.3f} bits/byte{'  best' if self.best else ''}"
        )


class Stopwatch:
    """Seconds of work, pauses left out; `start` is what an earlier process had spent."""

    def __init__(self, start: float = 0.0, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._start = now() - start
        self._before, self._cpu = start, time.thread_time()
        self._stopped_at: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        now = self._now() if self._stopped_at is None else self._stopped_at
        return now - self._start

    @property
    def cpu_share(self) -> float:
        """The share of the time since it was made that this thread has computed.

        Near 1 for a thread that computes or spins, however many processors there are.
        """
        return (time.thread_time() - self._cpu) / max(self.seconds - self._before, 1e-9)

    def leave_out(self, seconds: float) -> None:
        """Do not count so many seconds that have just passed; in a pause nothing counts anyway."""
        if self._stopped_at is None:
            self._start += seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do not count the time spent in the block; blocks may lie in each other."""
        if self._stopped_at is not None:
            yield
            return
        self._stopped_at = begin = self._now()
        try:
            yield
        finally:
            self._start += self._now() - begin
            self._stopped_at = None
