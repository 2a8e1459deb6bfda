"""Training settings that do not go together, in words. Knows values; decides none."""

from typing import TYPE_CHECKING

from tuillm.config.families import has_learned_positions
from tuillm.errors import TuillmError

if TYPE_CHECKING:
    from tuillm.config.train_config import TrainConfig

_LEAST_RATE = 1e-30  # processors take less for zero


def first_conflict(config: "TrainConfig") -> str:
    """Say which settings of a run contradict each other, and what would do; "" where none do."""
    of = (_of_rates, _of_length, _of_processes, _of_model, _of_teachers)
    return next(filter(None, (conflict(config) for conflict in of)), "")


def _of_rates(config: "TrainConfig") -> str:
    for name in ("learning_rate", "muon_lr"):
        if getattr(config, name) < _LEAST_RATE:
            return f"{name} {getattr(config, name):g} is too small to learn anything"
    if config.min_lr > config.learning_rate:
        return f"min_lr {config.min_lr:g} is above learning_rate {config.learning_rate:g}"
    return ""


def _of_length(config: "TrainConfig") -> str:
    if config.max_steps is None and config.minutes is None and config.epochs is None:
        return "neither max_steps, minutes nor epochs is set; give one of them"
    if config.max_steps and config.warmup_steps and config.warmup_steps > config.max_steps:
        return f"warmup_steps {config.warmup_steps} is more than max_steps {config.max_steps}"
    return ""


def _of_processes(config: "TrainConfig") -> str:
    windows = config.batch_size * config.grad_accum_steps
    if config.nproc > windows:
        return (
            f"nproc {config.nproc} is more than the sequences of a step, batch_size times "
            f"grad_accum_steps: {windows}"
        )
    return ""


def _of_model(config: "TrainConfig") -> str:
    if config.n_layer and config.n_embd % config.n_head:
        return f"n_embd {config.n_embd} is not divisible by n_head {config.n_head}"
    if config.init_from is None and (conflict := _of_arch(config)):
        return conflict
    if config.lora and config.init_from is None:
        return "lora needs a model to start from: --from MODEL"
    if config.lora and config.optimizer != "adamw":
        return f"optimizer {config.optimizer} cannot train lora's adapters: use adamw"
    if config.lora and not config.n_layer:
        return "lora needs layers to adapt, and this model has none"
    if config.vocab_size and config.tokenizer in ("char", "gpt2"):
        return f"vocab_size {config.vocab_size} applies to tokenizer bpe, not to {config.tokenizer}"
    return ""


def _of_arch(config: "TrainConfig") -> str:
    try:
        if has_learned_positions(config.arch):
            return ""
    except TuillmError as error:
        return f"{error.message}: {error.hint}"
    if not config.n_layer:
        return f"arch {config.arch} needs blocks, and n_layer 0 makes none: set arch gpt2"
    if (width := config.n_embd // config.n_head) % 2:
        return (
            f"arch {config.arch} turns its heads in pairs, and n_embd {config.n_embd} divided by "
            f"n_head {config.n_head} is {width}: an even width is wanted"
        )
    return ""


def _of_teachers(config: "TrainConfig") -> str:
    if not config.teachers:
        return ""
    if config.init_from is not None:
        return f"teachers {config.teachers} begin from nothing, not --from a model: set teachers 0"
    if config.nproc > 1:
        return f"teachers {config.teachers} are trained by one process: set nproc 1"
    if config.patience:
        return f"patience {config.patience} would end the first teacher: set patience 0"
    return ""
