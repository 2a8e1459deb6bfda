"""The numbers of a checkpoint, as they stand in its `trainer.json`. Knows no tensor and no file."""

from typing import NotRequired, TypedDict


class ProgressState(TypedDict):
    """The way of a run, in steps; checkpoints of before there were extensions have none of it."""

    extended_steps: NotRequired[int]
    ended_at: NotRequired[int | None]


class EvaluationsState(TypedDict):
    """What the evaluations of a run came to; `best` is an Evaluation's values, None without one.

    Older checkpoints do not know how much was evaluated on: the last two, in tokens.
    """

    best_step: int
    best: dict[str, float] | None
    tenths: int
    evals_without_gain: int
    eval_tokens: NotRequired[int | None]
    eval_sample_tokens: NotRequired[int | None]


class GuardState(TypedDict):
    """How often a run was rolled back, and its last losses; older checkpoints have none of it."""

    rollbacks: NotRequired[int]
    recent_losses: NotRequired[list[float]]


class TrainerState(EvaluationsState, ProgressState, GuardState):
    """All numbers from which a trainer goes on; `elapsed` in seconds, `epoch` with `position`.

    `micro_batch` is how many windows are computed at once, which older checkpoints do not know.
    `before` is the Evaluation of the model that a run started from. A file that is damaged may
    lack any of them.
    """

    step: int
    elapsed: float
    epoch: int
    position: int
    corpus_sha256: NotRequired[str | None]
    before: NotRequired[dict[str, float] | None]
    micro_batch: NotRequired[int]
