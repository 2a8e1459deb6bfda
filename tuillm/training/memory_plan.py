"""Does a run fit into the memory there is, and what gives way where it does not.

Knows the estimates of `memory_estimate`; knows no torch. Where blocks must be computed again for a
run to fit, they are; what cannot fit at all is refused before the system would end it.
"""

from dataclasses import dataclass
from pathlib import Path

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.training.memory_estimate import memory_needed
from tuillm.units import size

RECOMPUTED = "memory is short: blocks are computed again for the backward pass (grad_checkpoint)"
# the lowest peak that was measured, as a share of the estimate
_SURELY = 0.8
# the share of the free memory that a run may take
_ROOM = 0.95


@dataclass(frozen=True)
class MemoryPlan:
    """What a run needs, in bytes part by part, and whether its blocks are computed again.

    `with_lora` is what LoRA would need instead, None where that is no choice; `note` says in words
    that blocks are computed again because the memory asked for it, or is "".
    """

    parts: dict[str, int]
    recompute: bool
    with_lora: int | None
    note: str

    @property
    def needed(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


def plan_memory(
    config: TrainConfig,
    shape: GPTConfig,
    window: int,
    text_bytes: int,
    val_tokens: int,
    parameters: int,
    available: int,
    copied: int = 0,
) -> MemoryPlan:
    """Decide whether blocks are computed again: as set, else where `available` is short.

    `copied` are the parameters of a model to start from that are read as copies.
    """
    counts = window, text_bytes, val_tokens, parameters

    def need(recompute: bool) -> dict[str, int]:
        return memory_needed(shape, config, *counts, recompute=recompute, copied=copied)

    tight = sum(need(False).values()) > _ROOM * available
    again = tight if config.grad_checkpoint is None else config.grad_checkpoint
    note = RECOMPUTED if again and config.grad_checkpoint is None else ""
    with_lora = None
    if config.init_from is not None and not config.lora and shape.n_layer:
        other = config.model_copy(update={"lora": True, "lora_targets": None})
        with_lora = plan_memory(other, shape, *counts, available, copied).needed
    return MemoryPlan(need(again), again, with_lora, note)


def check_fits(config: TrainConfig, plan: MemoryPlan, total: int) -> None:
    """Raise TuillmError for a run that the machine's `total` bytes cannot hold by any measure."""
    # what learns, its gradients and what the optimizer keeps of them, all of a size, and half of
    # that once more in bfloat16
    copies = (4 if config.optimizer == "adamw" else 3) + (config.dtype != "float32") / 2
    surely = plan.parts["program"] + copies * plan.parts["gradients"]
    if max(surely, _SURELY * plan.needed) > total:
        raise TuillmError(
            f"{what_needs(config)} needs about {size(plan.needed)} of memory, this machine has "
            f"{size(total)}",
            memory_advice(config, plan.parts, plan.with_lora, total),
        )


def memory_warning(
    config: TrainConfig, needed: int, parts: dict[str, int], with_lora: int | None, available: int
) -> str:
    """Say that a run needs more than the bytes `available`, and what would need less, or ""."""
    if needed <= available:
        return ""
    return (
        f"{what_needs(config)} needs about {size(needed)} of memory and {size(available)} are "
        f"free: {memory_advice(config, parts, with_lora, available)}"
    )


def what_needs(config: TrainConfig) -> str:
    """What is going to be done, as the beginning of a sentence."""
    if config.init_from is None:
        return "training this model"
    return f"{'LoRA on' if config.lora else 'full fine-tuning of'} {Path(config.init_from).name}"


def memory_advice(
    config: TrainConfig, parts: dict[str, int], with_lora: int | None, available: int
) -> str:
    """What would need less, in words."""
    if with_lora is not None and with_lora <= available:
        return f"use --lora, which needs about {size(with_lora)}"
    if config.grad_checkpoint is False:
        return "leave out --no-grad-checkpoint"
    by_batch = parts["activations"] + parts["logits"]
    if by_batch > parts["weights"] + parts["gradients"] + parts["optimizer"]:
        return f"try a lower batch_size ({config.batch_size}) or block_size ({config.block_size})"
    if config.init_from is not None:
        return "try a smaller model"
    return f"try a smaller n_embd ({config.n_embd}) or n_layer ({config.n_layer})"
