"""What one rank of a run has in its GPU's memory: tuillm's own tensors, counted from the shape.

Knows what DDP, FSDP2, Muon and AdamW keep of a model's parameters; builds none and knows no torch.
Activations are those of `memory_estimate.memory_needed`.
"""

from dataclasses import dataclass

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig, Parameter
from tuillm.training.memory_estimate import memory_needed

# the driver's context, the libraries' workspaces and NCCL's buffers; assumed
_PROGRAM = 1_500_000_000
_FLOAT32, _BFLOAT16 = 4, 2
# Muon's work on the matrices of one group: the Nesterov gradient, the update, and what is between
_MUON_WORK = 12
# the share of the memory that a run may take
ROOM = 0.95


@dataclass(frozen=True)
class Batch:
    """What one rank computes in a step: `passes` of at most `windows` of `window` tokens each.

    `ranks` all together compute `windows_of_step` in each step.
    """

    ranks: int
    passes: int
    windows: int
    window: int
    windows_of_step: int

    @classmethod
    def of(cls, config: TrainConfig, ranks: int, window: int) -> "Batch":
        """The busiest rank's: each batch of `batch_size` windows is divided among the ranks."""
        passes = config.grad_accum_steps
        windows = -(-config.batch_size // ranks)
        return cls(ranks, passes, windows, window, config.batch_size * passes)

    @property
    def tokens_of_rank(self) -> int:
        """The tokens that the busiest rank computes in a step."""
        return self.passes * self.windows * self.window

    @property
    def tokens_of_step(self) -> int:
        """The tokens of all ranks in a step."""
        return self.windows_of_step * self.window


def shard_of(parameter: Parameter, ranks: int) -> int:
    """The elements that rank 0 has where ranks divide the rows: no other has more."""
    rows = parameter.shape[0]
    return -(-rows // ranks) * (parameter.count // rows)


def muon_stacks(shape: GPTConfig) -> list[dict[tuple[int, int], int]]:
    """Return the groups that Muon steps: how many matrices of which rows and columns in each.

    As `muon.matrix_groups` makes them; the matrices of a size are one stack.
    """
    groups: dict[tuple[int, ...], dict[tuple[int, int], int]] = {}
    for each in shape.block_parameters() if shape.n_layer else []:
        if each.matrix:
            columns = each.shape[1]
            counts = groups.setdefault((*each.kinds, columns), {})
            for rows in each.parts:
                counts[rows, columns] = counts.get((rows, columns), 0) + shape.n_layer
    return list(groups.values())


def state_bytes(shape: GPTConfig, optimizer: str, ranks: int, shard: bool) -> dict[str, int]:
    """Return the bytes of weights, gradients and optimizer state in one rank, the fullest.

    All in float32: 4 per parameter each, 8 for AdamW's two moments, 4 for Muon's momentum, which
    it has for the matrices of blocks alone. Sharded, a rank has its rows of each. The counters of
    AdamW's steps are left out: 4 bytes for each of its tensors.
    """
    parts = {"weights": 0, "gradients": 0, "optimizer": 0}
    for each in shape.parameters():
        count = shard_of(each, ranks) if shard and ranks > 1 else each.count
        moments = 1 if optimizer == "muon" and each.matrix and each.in_block else 2
        parts["weights"] += _FLOAT32 * count
        parts["gradients"] += _FLOAT32 * count
        parts["optimizer"] += _FLOAT32 * moments * count
    return parts


def rank_memory(
    shape: GPTConfig, config: TrainConfig, batch: Batch, dtype: str, *, recompute: bool
) -> dict[str, int]:
    """Return the bytes of a rank's memory at its peak, part by part; they add up.

    program      a constant
    weights, gradients, optimizer    see `state_bytes`
    gathered     sharded: the weights outside the blocks and two blocks, whole, in float32, and
                 two blocks' gradients; with several passes a step the gradients of all, which
                 FSDP2 keeps whole until it adds them up over the ranks
    casts        16-bit copies of the matrices, which autocast keeps until the backward pass
    activations, logits    of `batch.windows` at once
    muon         where its work on the largest matrices is more than these last three, the rest
    """
    sharded = config.shard and batch.ranks > 1
    blocks = shape.blocks_count
    parts = {"program": _PROGRAM}
    parts |= state_bytes(shape, config.optimizer, batch.ranks, sharded)
    if config.ema:
        parts["average"] = _FLOAT32 * shape.parameter_count // (batch.ranks if sharded else 1)
    if sharded:
        pair = 2 * blocks // max(shape.n_layer, 1)
        outside = shape.parameter_count - blocks
        whole_gradients = shape.parameter_count if batch.passes > 1 else pair
        parts["gathered"] = _FLOAT32 * (outside + pair + whole_gradients)
    work = _pass_bytes(shape, config, batch, dtype, recompute)
    parts |= work
    if config.optimizer == "muon":
        largest = max(map(_elements, muon_stacks(shape)), default=0)
        parts["muon"] = max(0, _MUON_WORK * largest - sum(work.values()))
    return parts


def _pass_bytes(
    shape: GPTConfig, config: TrainConfig, batch: Batch, dtype: str, recompute: bool
) -> dict[str, int]:
    """What a forward pass keeps for its backward pass."""
    seen = config.model_copy(
        update={"device": "cuda", "dtype": dtype, "batch_size": batch.windows, "lora": False}
    )
    parts = memory_needed(
        shape, seen, batch.window, 0, 0, shape.parameter_count, recompute=recompute
    )
    casts = 0
    if dtype != "float32":
        matrices = sum(each.count for each in shape.parameters() if each.matrix)
        casts = _BFLOAT16 * (matrices - shape.position_parameters)
    return {"casts": casts, "activations": parts["activations"], "logits": parts["logits"]}


def _elements(stacks: dict[tuple[int, int], int]) -> int:
    return sum(count * rows * columns for (rows, columns), count in stacks.items())
