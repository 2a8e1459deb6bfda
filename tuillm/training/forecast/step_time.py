"""How long a step takes on a GPU of some kind: products at their speed, all else at the memory's.

    seconds of a token = operations / (peak x share that products reach) + bytes / bandwidth

What a program moves through the memory beside its products depends on how it is written, so there
are three declared implementations, each with bytes that were found once, on one card, and hold for
all others. From them follows the share of the peak that is used (MFU, PaLM appendix B): it is a
result here, for each kind, precision and size of model. Knows formulas; knows no device.
"""

from dataclasses import dataclass

from tuillm.config.gpt_config import GPTConfig
from tuillm.training.forecast.device_kinds import DeviceKind
from tuillm.training.forecast.rank_memory import Batch, muon_stacks

# blocks that are computed again cost a second forward pass: a third more of everything
_AGAIN = 4 / 3
# of one parameter in a step: gradients zeroed, measured and clipped, moments and weights read and
# written; Muon reads and writes its matrices a few times more
_ADAMW_BYTES, _MUON_BYTES = 44, 80
_NEWTON_SCHULZ_STEPS = 5
# the numbers that a block of GPT-2 makes of a token, in n_embd
_GPT2_MAKES = 18


@dataclass(frozen=True)
class Implementation:
    """The bytes that a way of writing the same model moves through the GPU's memory.

    For each token `stream` for each of L C activations (of GPT-2, whose blocks make 18 C of a
    token; blocks of other families more or fewer in proportion), `logits` for each of V logits, and
    `scores` for each of L H T attention scores (0 with fused attention, which keeps none); for
    each pass `weights` for each parameter, forward and backward together.
    """

    stream: float
    logits: float
    scores: float
    weights: float


# PyTorch with torch.compile: found from 130 ms for a step of GPT-2 124M on 16 x 1,024 tokens on an
# A100 80 GB without fused attention and 96 ms with it. Karpathy, "Let's reproduce GPT-2 (124M)"
# (2024), https://www.youtube.com/watch?v=l8pRSuU81PU, chapters of section 2; the batch is that of
# https://github.com/karpathy/build-nanogpt at the commits of that section.
COMPILED = Implementation(stream=440, logits=24, scores=0, weights=30)
COMPILED_UNFUSED = Implementation(stream=440, logits=24, scores=28, weights=30)
# PyTorch as it is, without a compiler: three times as much, from 300 ms there in place of 130
EAGER_UNFUSED = Implementation(stream=1320, logits=72, scores=84, weights=30)
# tuillm, with fused attention: eager, or its blocks compiled and the head with its loss eager
EAGER = Implementation(stream=1320, logits=72, scores=0, weights=30)
COMPILED_BLOCKS = Implementation(stream=440, logits=72, scores=0, weights=30)
# kernels written for the model: found from "~300ms/iter" of 524,288 tokens of GPT-2 124M on eight
# A100 80 GB, https://github.com/karpathy/llm.c/blob/master/scripts/run_gpt2_124M.sh
KERNELS = Implementation(stream=260, logits=8, scores=0, weights=8)


def pass_seconds(
    shape: GPTConfig,
    kind: DeviceKind,
    batch: Batch,
    dtype: str,
    how: Implementation = EAGER,
    *,
    recompute: bool = False,
) -> float:
    """Return the seconds of one forward and backward pass over `batch.windows` windows."""
    tokens = batch.windows * batch.window
    again = _AGAIN if recompute else 1.0
    operations = tokens * shape.flops_per_token(batch.window) * again
    activations = shape.n_layer * _made_of_a_token(shape) / _GPT2_MAKES
    scores = shape.n_layer * shape.n_head * batch.window
    moved = how.stream * activations * again + how.scores * scores * again
    moved = tokens * (moved + how.logits * shape.vocab_size)
    moved += how.weights * shape.parameter_count
    return operations / (kind.peak(dtype) * kind.reached) + moved / kind.bandwidth


def optimizer_seconds(
    shape: GPTConfig, kind: DeviceKind, optimizer: str, ranks: int, dtype: str, *, shard: bool
) -> float:
    """Return the seconds of the optimizer's own work in a step.

    Sharded, each rank has its part of AdamW's; Muon's products are shared by the ranks anyway.
    """
    matrices = shape.matrices_count if optimizer == "muon" else 0
    rest = shape.parameter_count - matrices
    mine = ranks if shard else 1
    moved = _ADAMW_BYTES * rest / mine + _MUON_BYTES * matrices
    seconds = moved / kind.bandwidth
    if matrices:
        seconds += newton_schulz_flops(shape, ranks) / (kind.peak(dtype) * kind.reached)
    return seconds


def newton_schulz_flops(shape: GPTConfig, ranks: int) -> int:
    """Return the operations by which the busiest rank orthogonalises its part of the matrices.

    Of a matrix with r rows and c >= r columns, each of five steps takes X X^T and its product with
    X, 2 r r c each, and a square, 2 r r r (Jordan 2024, "Muon").
    """
    return _NEWTON_SCHULZ_STEPS * sum(
        -(-count // ranks) * _step_flops(*size)
        for stacks in muon_stacks(shape)
        for size, count in stacks.items()
    )


def _step_flops(rows: int, columns: int) -> int:
    r, c = sorted((rows, columns))
    return 4 * r * r * c + 2 * r**3


def _made_of_a_token(shape: GPTConfig) -> int:
    """The numbers that a block makes of a token, going forward.

    The stream twice, two norms and two projections back to it (6 C), queries, keys and values,
    what attention found, and the MLP's inside before and behind its activation; queries and keys
    once more where they are rotated, and where they are normalised.
    """
    inside = shape.inner_width * (2 + 2 * shape.gated_mlp)
    again = (shape.q_width + shape.kv_width) * (shape.rotary + shape.qk_norm)
    return 6 * shape.n_embd + shape.qkv_width + shape.q_width + inside + again
