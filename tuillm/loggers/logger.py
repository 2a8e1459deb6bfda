"""What a logger is, and what it is told: a run's settings, its steps, its samples, its end.

Knows the names under which figures are logged; knows no tool.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from tuillm.formats.json_text import JsonObject
from tuillm.store.jsonl import MetricsRow, Sample

# the figures of a step and the names they have in every tool
NAMES = {
    "train_loss": "train/loss",
    "lr": "train/lr",
    "grad_norm": "train/grad_norm",
    "micro_batch": "train/micro_batch",
    "loss_scale": "train/loss_scale",
    "val_loss": "val/loss",
    "bits_per_byte": "val/bits_per_byte",
    "tokens_per_sec": "speed/tokens_per_sec",
    "mfu": "speed/mfu",
    "epoch": "progress/epoch",
    "elapsed": "progress/elapsed_seconds",
}


@dataclass(frozen=True)
class LoggedRun:
    """A run as loggers are told of it.

    `folder` is where a logger may keep files; `created` in seconds since 1970; `settings` are those
    of `run.json`; `forecast` what was known when it began; `going` whether it still trains.
    """

    id: str
    folder: Path
    created: float
    settings: JsonObject
    forecast: JsonObject = field(default_factory=dict)
    going: bool = False


class LoggerProgress(BaseModel):
    """How far a logger is: bytes of `metrics.jsonl` and of `samples.jsonl`, and the last step.

    `where` is the file, folder or address at which a person finds it; `hint` what to type next;
    `error` why it gave up. `ended` is when it had logged the end of the run, or given up, in
    seconds since 1970; 0 for one that never did.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    metrics_at: int = Field(0, ge=0, le=2**53)
    samples_at: int = Field(0, ge=0, le=2**53)
    step: int = Field(-1, ge=-1, le=2**53)
    where: str = ""
    hint: str = ""
    error: str = ""
    ended: float = 0.0


class Logger(Protocol):
    """One tool that a run is logged to. Any exception ends it, and nothing else."""

    where: str
    hint: str

    def step(self, row: MetricsRow) -> None:
        """Log the figures of a step; their numbers only rise, but for what `rewind` says."""

    def sample(self, sample: Sample) -> None:
        """Log a text that the model wrote."""

    def rewind(self, step: int) -> None:
        """The run went back to `step`: the steps after it come again."""

    def flush(self) -> None:
        """Make what was logged so far visible."""

    def finish(self, state: str) -> None:
        """The run has ended in `state`; close what is open."""


def scalars(row: MetricsRow) -> dict[str, float]:
    """Return the figures of a step by the names they are logged under."""
    return {name: row[key] for key, name in NAMES.items() if key in row}  # type: ignore[literal-required]


def run_key(run: LoggedRun) -> str:
    """A name of the run with when it began, which hardly another run of any machine shares."""
    return f"{run.id}-{int(run.created):x}"
