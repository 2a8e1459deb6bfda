"""How far a run is, and what that means for the learning rate. Pure functions of numbers."""

import math

from tuillm.config import TrainConfig

WARMUP = 0.05
# how often a run looks at the held-out text by itself, and what share of its clock that may take
EVALUATIONS = 10
EVAL_SHARE = 0.05


def extended(config: TrainConfig, steps: int, seconds: float) -> TrainConfig:
    """Return the config with its limits further out: max_steps by `steps`, the clock by `seconds`.

    The learning rate rises again to what this longer schedule says: it had fallen to nearly
    nothing for the end, where further steps would teach nothing.
    """
    limits: dict[str, float] = {}
    if config.max_steps:
        limits["max_steps"] = config.max_steps + steps
    if config.minutes:
        limits["minutes"] = config.minutes + seconds / 60
    return config.model_copy(update=limits)


def progress_of(config: TrainConfig, step: int, elapsed: float) -> float:
    """Return how much of a run is over, 0 to 1: by steps, by the clock, or whichever is further.

    `step` counts the steps taken, `elapsed` the seconds.
    """
    by_steps = step / config.max_steps if config.max_steps else 0.0
    by_clock = elapsed / (60 * config.minutes) if config.minutes else 0.0
    return min(max(by_steps, by_clock), 1.0)


def lr_factor(config: TrainConfig, step: int, progress: float) -> float:
    """Return the share of the peak learning rate for the step after `step` steps.

    Rises over `warmup_steps` (auto: the first twentieth of the run) while it falls, linearly
    or as a cosine, from 1 to min_lr / learning_rate at the end.
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
        ahead = progress + (0.5 / config.max_steps if config.max_steps else 1e-3)
        rise = min(1.0, ahead / WARMUP)
    return rise * (floor + (1 - floor) * fall)
