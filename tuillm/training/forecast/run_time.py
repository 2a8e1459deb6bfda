"""How long a run takes, from the time of a step, measured or from the speed of matrix products.

Knows the arithmetic of steps and evaluations; measures nothing.
"""

from dataclasses import replace

from tuillm.config import TrainConfig
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.forecast.data_needs import with_data_needs
from tuillm.training.forecast.static import shape_for
from tuillm.training.forecast.warnings import cautions
from tuillm.training.schedule import EVALUATIONS, with_epochs
from tuillm.training.stages import TEACHING, taught_step

# of what a bare matrix product reaches; measured on models of 2 to 120 million parameters
_EFFICIENCY = 0.4


def estimated_step(config: TrainConfig, seen: Forecast, flops: float) -> float:
    """Return the seconds of a step, from the operations a second of bare matrix products."""
    return flops_per_step(config, seen) / (_EFFICIENCY * flops)


def with_speed(config: TrainConfig, seen: Forecast, step: float, pause: float) -> Forecast:
    """Return `seen` with what follows from the seconds of a step and of an evaluation."""
    per_step = seen.tokens_per_step or 0
    if per_step and seen.train_tokens:
        config = with_epochs(config, seen.train_tokens, per_step)
    steps, seconds = plan(config, step, pause)
    of_one = most_steps_of_a_model(config, steps)
    known = replace(
        seen,
        step_seconds=step,
        tokens_per_sec=per_step / step,
        steps=steps,
        seconds=seconds,
        epochs=of_one / seen.steps_per_epoch if seen.steps_per_epoch else None,
    )
    known = with_data_needs(config, known)
    return replace(known, warnings=cautions(config, known))


def plan(config: TrainConfig, step: float, pause: float) -> tuple[int, float]:
    """Return how many steps a run takes (patience apart) and in how many seconds.

    `step` is the seconds of one step, `pause` those of an evaluation with its sample. Steps that
    learn from teachers take longer, as these predict as well.
    """
    every, most = config.eval_interval, config.max_steps
    taught = step * taught_step(config)
    by_steps = TEACHING * step + (1 - TEACHING) * taught if config.teachers else step
    if config.minutes:
        clock = 60 * config.minutes
        if config.teachers:
            step = 1 / (TEACHING / step + (1 - TEACHING) / taught)
        if every:
            by_clock = clock / (step + pause / every)
        else:
            by_clock = (clock - EVALUATIONS * pause) / step
        if most is None or by_clock < most:
            return max(1, int(by_clock)), clock
    steps = most or 1
    pauses = -(-steps // every) if every else EVALUATIONS
    return steps, steps * by_steps + pauses * pause


def most_steps_of_a_model(config: TrainConfig, steps: int) -> float:
    """Return how many of a run's steps that one of its models takes which takes most."""
    if not config.teachers:
        return steps
    taught = 1 - TEACHING
    if config.minutes:  # on the clock, the longer steps are fewer
        taught /= taught_step(config)
    return (
        steps
        * max(TEACHING / config.teachers, taught)
        / (TEACHING + taught if config.minutes else 1)
    )


def flops_per_step(config: TrainConfig, seen: Forecast) -> int:
    """Return the operations of a step, as `GPTConfig.flops_per_token` counts them."""
    window = seen.block_size or 1
    shape = shape_for(config, seen.vocab_size or 0, window, seen.dropout or 0.0)
    return shape.flops_per_token(window, config.lora) * (seen.tokens_per_step or 1)
