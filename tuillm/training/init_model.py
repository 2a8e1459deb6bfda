"""The model a run begins with: a new one of the config's shape, or a copy of another one.

Knows shapes, weights, how long a text suits them and whether they fit into the memory; takes no
step and knows no run folder.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from tuillm.config import TrainConfig
from tuillm.config.families import new_shape
from tuillm.errors import TuillmError
from tuillm.formats.not_finite import first_not_finite
from tuillm.formats.safetensors_header import largest_item
from tuillm.model import GPT, GPTConfig, read_config, read_model
from tuillm.model.lora import add_lora
from tuillm.text import TokenFiles, Tokenizer
from tuillm.training.auto_settings import dropout_for, window_for
from tuillm.training.hardware import memory_of
from tuillm.training.memory_estimate import copied_parameters
from tuillm.training.memory_plan import check_fits, memory_warning, plan_memory


@dataclass(frozen=True)
class InitialModel:
    """A model before its first step; it learns from windows of `window` tokens.

    `copied` of its parameters were read as copies, and do not lie in the file.
    """

    model: GPT
    window: int
    notes: tuple[str, ...]
    copied: int = 0


def build_model(
    config: TrainConfig,
    tokens: TokenFiles,
    parent: Path | None,
    device: torch.device,
    context: int | None = None,
) -> InitialModel:
    """Return a new model for a text, or the one in folder `parent`, its weights still mapped.

    That one keeps its context, also when it learns from shorter windows, as a new model does that
    is to have a certain `context`. With LoRA it is frozen beside its adapters. Raises TuillmError
    when that folder is damaged, and for a new model that the memory of `device` cannot hold.
    """
    length = len(tokens.train)
    dropout, dropout_note = dropout_for(config, length)
    if parent is None:
        window, note = window_for(context or config.block_size, length)
        shape = new_shape(config, tokens.tokenizer.vocab_size, context or window, dropout)
        _refuse_too_large(config, shape, window, tokens, device)
        model, copied = new_model(config, shape), 0
    else:
        model = _taken_over(parent, tokens.tokenizer, dropout)
        copied = copied_parameters(model.config, largest_item(parent / "model.safetensors"))
        longest = min(config.block_size, model.config.block_size)
        window, note = window_for(longest, length, "the windows it learns from shrink")
    if config.lora:
        add_lora(
            model,
            config.lora_rank,
            config.lora_alpha,
            config.lora_targets,
            torch.Generator().manual_seed(config.seed),
        )
    return InitialModel(model, window, tuple(filter(None, (note, dropout_note))), copied)


def context_of(folder: Path) -> int:
    """Return the context length of the model in a folder; raises TuillmError for a damaged one."""
    return read_config(folder).block_size


def fit(
    config: TrainConfig,
    beginning: InitialModel,
    tokens: TokenFiles,
    text_bytes: int,
    device: torch.device,
) -> tuple[str, ...]:
    """Let the model compute blocks again where the memory asks for it; return notes in words.

    Raises TuillmError for a run that the memory cannot hold at all.
    """
    model, held_out = beginning.model, len(tokens.val)
    config = config.model_copy(update={"device": device.type})  # `auto` is decided by now
    free, total = memory_of(device)
    plan = plan_memory(
        config,
        model.config,
        beginning.window,
        text_bytes,
        held_out,
        model.parameter_count,
        free,
        beginning.copied,
    )
    check_fits(config, plan, total)
    model.recompute = plan.recompute
    short = memory_warning(config, plan.needed, plan.parts, plan.with_lora, free)
    return tuple(filter(None, (short, plan.note)))


def new_model(config: TrainConfig, shape: GPTConfig) -> GPT:
    """Return a model of a shape with the weights that the seed of the settings draws."""
    model = GPT(shape)
    model.init_weights(config.positions, torch.Generator().manual_seed(config.seed))
    if model.wpe is not None:
        model.wpe.weight.requires_grad_(config.positions != "none")
    return model


def copy_weights(source: GPT, target: GPT) -> None:
    """Copy the weights of a model into another of the same shape; raises RuntimeError otherwise."""
    theirs = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in theirs:  # biases that are all zero were left out
                parameter.copy_(theirs[name])
            else:
                parameter.zero_()


def _refuse_too_large(
    config: TrainConfig, shape: GPTConfig, window: int, tokens: TokenFiles, device: torch.device
) -> None:
    """Raise TuillmError for a model that the memory cannot hold, before any of it is built."""
    free, total = memory_of(device)
    config = config.model_copy(update={"device": device.type})
    plan = plan_memory(config, shape, window, 0, len(tokens.val), shape.parameter_count, free)
    check_fits(config, plan, total)


def _taken_over(folder: Path, tokenizer: Tokenizer, dropout: float) -> GPT:
    model = read_model(folder, dropout)
    tokenizer.refuse_beyond(model.config.vocab_size, folder)
    if tensor := first_not_finite(folder / "model.safetensors"):
        raise TuillmError(
            f"{folder} cannot be trained on: its tensor {tensor} has NaN or infinity in it"
        )
    # a bigram model knows no positions, and stays one
    if model.wpe is not None:
        model.wpe.weight.requires_grad_(bool(model.wpe.weight.any()))
    return model
