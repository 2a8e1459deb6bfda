"""What each rank of a run computes: its part of a step, and of an evaluation.

Knows the parts of a run and the other ranks; decides nothing.
"""

import math

import torch

from tuillm.training.distributed.ranks import Ranks
from tuillm.training.evaluate import Evaluation, StopCheck, evaluate, never
from tuillm.training.setup import Setup


def compute_step(setup: Setup, ranks: Ranks, step: int, factor: float) -> tuple[float, float]:
    """Take the step after `step` steps at `factor` times the peak rates; return loss and norm.

    The gradients are in their own scale before they are clipped, and all ranks have the same ones
    by then, so that all of them skip a step whose gradients overflowed in float16.

    Several ranks have random numbers of their own, which follow from the seed and the step.
    """
    if ranks.together:
        torch.manual_seed(hash((setup.config.seed, step, ranks.rank)) % 2**63)
    loss = setup.gradients.accumulate()
    norm = update_weights(setup, factor)
    return float(loss), norm


def update_weights(setup: Setup, factor: float) -> float:
    """Let the optimizer step with the gradients there are; return their norm."""
    scaling, optimizer = setup.gradients.scaling, setup.optimizer
    if scaling.scale is not None:
        optimizer.scale_grads(1 / scaling.scale)
    norm = optimizer.step(factor)
    scaling.update(norm)
    if math.isfinite(norm):
        setup.average.update()
    return norm


def compute_evaluation(
    setup: Setup, ranks: Ranks, most: int | None, interrupted: StopCheck = never
) -> Evaluation | None:
    """Return the loss of the held-out text, or of `most` of its tokens, always the same ones.

    None when `interrupted` said so, which only a rank alone asks.
    """
    tokens = setup.tokens
    with setup.average.used():
        return evaluate(
            setup.learner,
            tokens.val,
            tokens.val_bytes,
            tokens.tokenizer,
            interrupted,
            most=most,
            dtype=setup.eval_dtype,
            left_out=tokens.left_out_bytes,
            mask=tokens.val_mask,
            ranks=ranks,
            window=setup.eval_window,
        )
