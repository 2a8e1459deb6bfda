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
from tuillm.training.forecast.run_time import estimated_step, flops_per_step, with_speed
from tuillm.training.forecast.static import copied_for, shape_for
from tuillm.training.forecast.warnings import cautions, memory_caution
from tuillm.training.memory_plan import RECOMPUTED, plan_memory

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_SECONDS = 1.2
# the seconds that what is computed of a step is to take, and may take; the tokens it has at least
_SLOW, _TOO_SLOW, _SHORTEST = 2.5, 5.0, 32


def probe(config: TrainConfig, seen: Forecast) -> Forecast:
    """Return `seen` (of `look`, with nothing skipped) with the speed of real steps.

    Takes at most some ten seconds: of a long step only a part is computed, and where even that
    would take too long, the speed of matrix products stands in, and `estimated` says so.
    """
    from tuillm.model import choose_device
    from tuillm.training.hardware import choose_train_dtype, matmul_flops

    device = choose_device(config.device)
    dtype = choose_train_dtype(config.dtype, device)
    seen = replace(seen, stage="speed", device=device.type, dtype=str(dtype).removeprefix("torch."))
    seen = _on_device(config, seen)
    if seen.skipped:
        return seen
    expected = estimated_step(config, seen, matmul_flops(device, dtype))
    part = _part_of_a_step(config, seen, expected)
    if not part:
        return with_speed(config, replace(seen, estimated=True), expected, 0.0)
    try:
        step, pause, note = _measure(config, seen, *part)
    except RuntimeError as error:  # torch's word for all that devices and memory refuse
        reason = f"a step failed: {str(error).splitlines()[0]}"
        return replace(seen, skipped=reason, warnings=(*seen.warnings, reason))
    seen = replace(seen, notes=(*seen.notes, note) if note else seen.notes)
    return with_speed(config, seen, step, pause)


def step_seconds(trainer: "Trainer", seconds: float) -> float:
    """Take real steps for about `seconds`, after two to warm up; return the seconds of one.

    Where two take longer than that, the first one alone is the warm-up. What the trainer has
    learned by then belongs to no run.
    """
    return sum(parts_of_a_step(trainer, seconds))


def parts_of_a_step(trainer: "Trainer", seconds: float) -> tuple[float, float]:
    """Take steps as `step_seconds` does; return the seconds of gradients and of the update."""
    from tuillm.training.compute import update_weights

    trainer.prepare()
    trainer.model.train()
    setup = trainer.setup
    taken: list[tuple[float, float]] = []
    warm = 2
    while len(taken) <= warm or sum(map(sum, taken[warm:])) < seconds:
        begin = time.perf_counter()
        float(setup.gradients.accumulate())  # waits for the device
        middle = time.perf_counter()
        update_weights(setup, 1.0)
        taken.append((middle - begin, time.perf_counter() - middle))
        warm = 1 if sum(taken[0]) > seconds / 2 else 2
    count = len(taken) - warm
    return sum(each for each, _ in taken[warm:]) / count, sum(u for _, u in taken[warm:]) / count


def _on_device(config: TrainConfig, seen: Forecast) -> Forecast:
    """Plan the memory again, now that device and precision are known, and what is free there."""
    free, window = seen.memory_available or 0, seen.block_size or 1
    if seen.device == "cuda":
        import torch

        free = torch.cuda.mem_get_info()[0]
    shape = shape_for(config, seen.vocab_size or 0, window, seen.dropout or 0.0)
    there = plan_memory(
        config.model_copy(update={"device": seen.device, "dtype": seen.dtype}),
        shape,
        window,
        seen.bytes or 0,
        seen.val_tokens or seen.train_tokens or 0,
        seen.parameters or shape.parameter_count,
        free,
        copied_for(config, shape),
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


def _part_of_a_step(config: TrainConfig, seen: Forecast, expected: float) -> tuple[int, ...]:
    """How many windows, and of how many tokens, tell how long a step takes; () where none can.

    All of a batch, or as many as are expected to take no longer than _SLOW; where one window alone
    does, the beginning of one.
    """
    each = expected / (config.grad_accum_steps * config.batch_size)
    if each < _SLOW:
        return min(config.batch_size, max(1, int(_SLOW / each))), config.block_size
    window = seen.block_size or config.block_size
    length = max(min(_SHORTEST, window), int(window * _SLOW / each))
    return (1, length) if each * length / window < _TOO_SLOW else ()


def _measure(
    config: TrainConfig, seen: Forecast, windows: int, length: int
) -> tuple[float, float, str]:
    """Return the seconds of a step and of an evaluation with its sample, and a note.

    So many windows of so many tokens are computed, and the rest of a step is taken to need as long
    for each of its operations.
    """
    from tuillm.training.eval_schedule import sampled_seconds, token_seconds
    from tuillm.training.trainer import Trainer

    part = {"batch_size": windows, "block_size": length, "grad_accum_steps": 1, "compile": "off"}
    trainer = Trainer(config=config.model_copy(update=part))
    gradients, update = parts_of_a_step(trainer, _SECONDS)
    setup = trainer.setup
    computed = setup.flops_per_token * setup.tokens_per_step
    step = gradients * flops_per_step(config, seen) / computed + update
    token = token_seconds(trainer)
    held_out, model = len(trainer.tokens.val) - 1, trainer.model
    measured = eval_token_count(
        config, held_out, model.parameter_count, setup.eval_window, step, token
    )
    each_sampled = sampled_seconds(trainer) if config.sample_tokens else 0.0
    sampled = sample_token_count(config, model.parameter_count, step, each_sampled or 1.0)
    return step, measured * token + sampled * each_sampled, eval_tokens_note(measured, held_out)
