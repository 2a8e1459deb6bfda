"""How far a run is, and what that means for the learning rate. Knows numbers only."""

import math

from tuillm.config import TrainConfig
from tuillm.config.train_config import MOST_STEPS
from tuillm.training.trainer_state import ProgressState

WARMUP = 0.05
# how often a run looks at the held-out text by itself, and what share of its clock that may take
EVALUATIONS = 10
EVAL_SHARE = 0.05


class TrainingProgress:
    """The way of one run: to where its settings end it, then exactly the steps it was extended by.

    The learning rate follows the whole way, so that it rises again when the way becomes longer:
    it had fallen to nearly nothing for the end, where further steps would teach nothing.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.extended_steps = 0
        self._ended_at: int | None = None  # the step at which the settings ended the run

    def progress(self, step: int, elapsed: float) -> float:
        """How much of the way is over after `step` steps in `elapsed` seconds, 0 to 1."""
        own = progress_of(self.config, step, elapsed)
        if not self.extended_steps:
            return own
        if own >= 1 or self._ended_at is not None:
            ended = step if self._ended_at is None else self._ended_at
            return min(step / (ended + self.extended_steps), 1.0)
        # on the clock nobody knows the steps to come: as many as there would be at this pace
        end = self.config.max_steps or (step / own if own else 1)
        return own * end / (end + self.extended_steps)

    def note(self, step: int, elapsed: float, *, patience_exhausted: bool = False) -> None:
        """Remember that the settings have ended the run, if they have, or patience, wherever."""
        if patience_exhausted:
            self._ended_at = step - self.extended_steps
        elif self._ended_at is None and progress_of(self.config, step, elapsed) >= 1:
            self._ended_at = step

    def extend(self, steps: int) -> None:
        """Make the way so many steps longer."""
        self.extended_steps += steps

    def lr_factor(self, step: int, progress: float) -> float:
        """The share of the peak learning rate for the step after `step` steps."""
        return lr_factor(self.config, step, progress, self.extended_steps)

    def state(self) -> ProgressState:
        """What a checkpoint keeps."""
        return {"extended_steps": self.extended_steps, "ended_at": self._ended_at}

    def load_state(self, numbers: ProgressState) -> None:
        """Go on from a checkpoint; older ones know less."""
        self.extended_steps = numbers.get("extended_steps", 0)
        self._ended_at = numbers.get("ended_at")

    @property
    def words(self) -> str:
        """What there is to say about an extension, '' without one."""
        return (
            (
                f"extended by {self.extended_steps:,} steps: the learning rate rises again to "
                "what the longer schedule says"
            )
            if self.extended_steps
            else ""
        )


def with_epochs(config: TrainConfig, train_tokens: int, tokens_per_step: int) -> TrainConfig:
    """Return the settings with `max_steps` that stand for their `epochs`, if they have any."""
    if config.epochs is None:
        return config
    steps = math.ceil(config.epochs * train_tokens / tokens_per_step)
    steps = min(max(steps, 1), config.max_steps or MOST_STEPS)
    return config.model_copy(update={"max_steps": steps})


def progress_of(config: TrainConfig, step: int, elapsed: float) -> float:
    """Return how much of a run is over, 0 to 1: by steps, by the clock, or whichever is further.

    `step` counts the steps taken, `elapsed` the seconds.
    """
    by_steps = step / config.max_steps if config.max_steps else 0.0
    by_clock = elapsed / (60 * config.minutes) if config.minutes else 0.0
    return min(max(by_steps, by_clock), 1.0)


def lr_factor(config: TrainConfig, step: int, progress: float, extended: int = 0) -> float:
    """Return the share of the peak learning rate for the step after `step` steps.

    Rises over `warmup_steps` (auto: the first twentieth of the run) while it falls, linearly
    or as a cosine, from 1 to min_lr / learning_rate at the end. `extended` is how many steps
    the run takes beyond its settings.
    """
    floor = config.min_lr / config.learning_rate
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        fall = 1 - progress
    if config.warmup_steps is not None:
        rise = min(1.0, (step + 1) / (config.warmup_steps + 1))
    else:
        # half a step ahead, so that the first step is not taken at a rate of zero
        ahead = progress + (0.5 / (config.max_steps + extended) if config.max_steps else 1e-3)
        rise = min(1.0, ahead / WARMUP)
    return rise * (floor + (1 - floor) * fall)
