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


class ScalingState(TypedDict):
    """The scale of the loss in float16, and the steps since it was last changed."""

    loss_scale: NotRequired[float]
    good_steps: NotRequired[int]


class CompilingState(TypedDict):
    """What compiling was measured to be worth, where that was decided: see training.compile_choice.

    `compiled` is whether steps are computed so, `times` how many times as fast that is, and
    `compile_seconds` what it took.
    """

    compiled: NotRequired[bool]
    times: NotRequired[float]
    compile_seconds: NotRequired[float]


class StagesState(TypedDict):
    """Which stage a run is in, the step that it began after, and whether it has ended.

    Older checkpoints are of runs with a single one.
    """

    stage: NotRequired[int]
    stage_first_step: NotRequired[int]
    stage_ended: NotRequired[bool]


class SetupState(ScalingState, CompilingState):
    """Where in the data the next step begins, and how steps are computed.

    `micro_batch` is how many windows are computed at once, `averaged_steps` how many steps are in
    the average of the weights; older checkpoints know neither.
    """

    epoch: int
    position: int
    micro_batch: NotRequired[int]
    averaged_steps: NotRequired[int]


class TrainerState(SetupState, EvaluationsState, ProgressState, GuardState, StagesState):
    """All numbers from which a trainer goes on; `elapsed` in seconds.

    `before` is the Evaluation of the model that a run started from. A file that is damaged may
    lack any of them.
    """

    step: int
    elapsed: float
    corpus_sha256: NotRequired[str | None]
    before: NotRequired[dict[str, float] | None]
