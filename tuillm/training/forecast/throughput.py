"""How fast this machine would learn: real steps of the real model, for a second or so.

Knows the trainer, which is imported when it is needed, and how long evaluations take; writes
nothing anywhere.
"""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tuillm.config import TrainConfig
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.auto_settings import eval_token_count, eval_tokens_note, sample_token_count
from tuillm.training.forecast.data_needs import with_data_needs
from tuillm.training.forecast.static import shape_for
from tuillm.training.forecast.warnings import cautions, memory_caution
from tuillm.training.memory_plan import RECOMPUTED, plan_memory
from tuillm.training.schedule import EVALUATIONS, with_epochs

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_SECONDS = 1.2
_SLOW = 2.5
# of what a bare matrix product reaches; measured on models of 2 to 120 million parameters
_EFFICIENCY = 0.4


def probe(config: TrainConfig, seen: Forecast) -> Forecast:
    """Return `seen` (of `look`, with nothing skipped) with the speed of real steps.

    Takes at most some ten seconds: where even one forward and backward pass would take too long,
    the speed of matrix products stands in, and `estimated` says so.
    """
    from tuillm.model import choose_device
    from tuillm.training.hardware import choose_train_dtype, matmul_flops

    device = choose_device(config.device)
    dtype = choose_train_dtype(config.dtype, device)
    seen = replace(seen, stage="speed", device=device.type, dtype=str(dtype).removeprefix("torch."))
    if device.type == "cuda":
        seen = _on_cuda(config, seen)
        if seen.skipped:
            return seen
    expected = _flops_per_step(config, seen) / (_EFFICIENCY * matmul_flops(device, dtype))
    if expected / config.grad_accum_steps > _SLOW:
        return with_speed(config, replace(seen, estimated=True), expected, 0.0)
    try:
        step, pause, note = _measure(config, expected)
    except RuntimeError as error:  # torch's word for all that devices and memory refuse
        reason = f"a step failed: {str(error).splitlines()[0]}"
        return replace(seen, skipped=reason, warnings=(*seen.warnings, reason))
    seen = replace(seen, notes=(*seen.notes, note) if note else seen.notes)
    return with_speed(config, seen, step, pause)


def with_speed(config: TrainConfig, seen: Forecast, step: float, pause: float) -> Forecast:
    """Return `seen` with what follows from the seconds of a step and of an evaluation."""
    per_step = seen.tokens_per_step or 0
    if per_step and seen.train_tokens:
        config = with_epochs(config, seen.train_tokens, per_step)
    steps, seconds = plan(config, step, pause)
    known = replace(
        seen,
        step_seconds=step,
        tokens_per_sec=per_step / step,
        steps=steps,
        seconds=seconds,
        epochs=steps / seen.steps_per_epoch if seen.steps_per_epoch else None,
    )
    known = with_data_needs(config, known)
    return replace(known, warnings=cautions(config, known))


def plan(config: TrainConfig, step: float, pause: float) -> tuple[int, float]:
    """Return how many steps a run takes (patience apart) and in how many seconds.

    `step` is the seconds of one step, `pause` those of an evaluation with its sample.
    """
    every, most = config.eval_interval, config.max_steps
    if config.minutes:
        clock = 60 * config.minutes
        if every:
            by_clock = clock / (step + pause / every)
        else:
            by_clock = (clock - EVALUATIONS * pause) / step
        if most is None or by_clock < most:
            return max(1, int(by_clock)), clock
    steps = most or 1
    pauses = -(-steps // every) if every else EVALUATIONS
    return steps, steps * step + pauses * pause


def step_seconds(trainer: "Trainer", seconds: float) -> float:
    """Take real steps for about `seconds`, after two to warm up; return the seconds of one.

    Where two take longer than that, the first one alone is the warm-up. What the trainer has
    learned by then belongs to no run.
    """
    trainer.prepare()
    trainer.model.train()
    taken: list[float] = []
    warm = 2
    while len(taken) <= warm or sum(taken[warm:]) < seconds:
        begin = time.perf_counter()
        trainer.take_step(1.0)
        taken.append(time.perf_counter() - begin)
        warm = 1 if taken[0] > seconds / 2 else 2
    return sum(taken[warm:]) / len(taken[warm:])


def _on_cuda(config: TrainConfig, seen: Forecast) -> Forecast:
    """The memory that counts is the device's, and so is what the run does where it is short."""
    import torch

    free, window = torch.cuda.mem_get_info()[0], seen.block_size or 1
    shape = shape_for(config, seen.vocab_size or 0, window, seen.dropout or 0.0)
    there = plan_memory(
        config.model_copy(update={"device": "cuda"}),
        shape,
        window,
        seen.bytes or 0,
        seen.val_tokens or seen.train_tokens or 0,
        seen.parameters or shape.parameter_count,
        free,
    )
    notes = tuple(note for note in seen.notes if note != RECOMPUTED)
    seen = replace(
        seen,
        memory=there.parts,
        memory_needed=there.needed,
        memory_available=free,
        memory_with_lora=there.with_lora,
        recompute=there.recompute,
        notes=(*notes, there.note) if there.note else notes,
    )
    return replace(seen, skipped=memory_caution(config, seen), warnings=cautions(config, seen))


def _flops_per_step(config: TrainConfig, seen: Forecast) -> int:
    window = seen.block_size or 1
    shape = shape_for(config, seen.vocab_size or 0, window, seen.dropout or 0.0)
    return shape.flops_per_token(window, config.lora) * (seen.tokens_per_step or 1)


def _measure(config: TrainConfig, expected: float) -> tuple[float, float, str]:
    """Return the seconds of a step and of an evaluation with its sample, and a note."""
    from tuillm.training.eval_schedule import sampled_seconds, token_seconds
    from tuillm.training.trainer import Trainer

    # of a long step of many equal passes, one pass tells enough
    passes = config.grad_accum_steps if expected < _SECONDS else 1
    eagerly = {"grad_accum_steps": passes, "compile": "off"}
    trainer = Trainer(config=config.model_copy(update=eagerly))
    each = step_seconds(trainer, _SECONDS) / passes
    step, token = each * config.grad_accum_steps, token_seconds(trainer)
    held_out, model = len(trainer.tokens.val) - 1, trainer.model
    measured = eval_token_count(
        config, held_out, model.parameter_count, model.config.block_size, step, token
    )
    each_sampled = sampled_seconds(trainer) if config.sample_tokens else 0.0
    sampled = sample_token_count(config, model.parameter_count, step, each_sampled or 1.0)
    return step, measured * token + sampled * each_sampled, eval_tokens_note(measured, held_out)
