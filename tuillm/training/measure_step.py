"""What a step has come to: where it is time an evaluation and a sample, and the step's metrics.

Knows the trainer, whose step it was; takes none.
"""

from typing import TYPE_CHECKING

from tuillm.training.evaluate import StopCheck
from tuillm.training.metrics import StepMetrics

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer


def measure_step(
    trainer: "Trainer",
    loss: float,
    norm: float,
    factor: float,
    seconds: float,
    interrupted: StopCheck,
) -> StepMetrics:
    """Evaluate if it is time, and gather what the step just taken has to report.

    `factor` is that of the schedule alone; `interrupted` ends an evaluation, without a result.
    """
    setup, config, evaluations = trainer.setup, trainer.config, trainer.evaluations
    over = trainer.progress >= 1
    evaluation, sample, gained = None, None, False
    begun = trainer.progress
    stages = trainer.stages
    stages.ended = stages.over(trainer.progress)  # what a teacher has come to is worth a look
    if looking := over or evaluations.due(trainer.step, trainer.progress) or stages.ended:
        evaluations.want(False)
        evaluation = trainer.evaluate(interrupted)
        gained = evaluation is not None and evaluations.note(evaluation, trainer.step)
        sample = trainer.sample(None if over else evaluations.sample_tokens)
    tokens, elapsed = setup.tokens_per_step, trainer.clock.seconds
    progress = trainer.progress_after(elapsed)
    if looking:
        evaluations.took(begun, progress)
    over = over or (looking and progress >= 1)
    scaling = setup.gradients.scaling
    flops = tokens / seconds * setup.flops_per_token / trainer.ranks.size
    # a machine that was busy when it was measured can do more than was seen then
    trainer.peak_flops = max(trainer.peak_flops, setup.flops, flops)
    return StepMetrics(
        step=trainer.step,
        train_loss=loss,
        lr=config.learning_rate * factor * trainer.guard.lr_scale,
        grad_norm=norm,
        tokens_per_sec=tokens / seconds,
        mfu=flops / trainer.peak_flops,
        elapsed=elapsed,
        progress=progress,
        eta=elapsed * (1 - progress) / progress if progress > 0 else None,
        epoch=(trainer.step - trainer.stages.first_step) * tokens / len(trainer.tokens.train),
        val_loss=evaluation.val_loss if evaluation else None,
        bits_per_byte=evaluation.bits_per_byte if evaluation else None,
        micro_batch=setup.gradients.reduced,
        loss_scale=scaling.last,
        skipped=scaling.skipped or None,
        sample=sample,
        best=gained,
        last="finished" if over else "patience" if evaluations.patience_exhausted else "",
    )
