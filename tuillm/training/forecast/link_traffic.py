"""How many bytes a step sends over which link, as tuillm's ranks talk to each other.

Knows the ring algorithms and what DDP, FSDP2 and Muon ask for in a step; all of it is float32.
NCCL may choose another algorithm than a ring where that is faster.
"""

from dataclasses import dataclass

from tuillm.config import TrainConfig
from tuillm.config.gpt_config import GPTConfig
from tuillm.training.forecast.device_kinds import LINK_SHARE, DeviceKind
from tuillm.training.forecast.rank_memory import Batch

_FLOAT32 = 4


@dataclass(frozen=True)
class Traffic:
    """The bytes that a rank sends to the next one in a step, by what they are.

    `during` travel while the rank computes (FSDP2 asks for the next block's weights in advance),
    `after` while it waits. In a ring over several nodes as much leaves each node, over its
    network, as each rank sends.
    """

    during: dict[str, float]
    after: dict[str, float]

    @property
    def sent(self) -> float:
        """All bytes that a rank sends in a step."""
        return sum(self.during.values()) + sum(self.after.values())


def all_reduce_bytes(size: float, ranks: int) -> float:
    """What each rank sends so that all have the sum of `size` bytes: 2 (n - 1) / n times these.

    A reduce-scatter and an all-gather (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce
    algorithms"; NCCL's PERFORMANCE.md has the same factor).
    """
    return 2 * gather_bytes(size, ranks)


def gather_bytes(size: float, ranks: int) -> float:
    """What each rank sends in an all-gather or a reduce-scatter of `size` bytes: (n - 1) / n."""
    return size * (ranks - 1) / ranks


def step_traffic(shape: GPTConfig, config: TrainConfig, batch: Batch) -> Traffic:
    """Return what a step sends.

    DDP: one all-reduce of all gradients after the last backward pass. FSDP2: in each pass an
    all-gather of all weights for the forward and of the blocks' once more for the backward pass
    (those outside of blocks stay); one reduce-scatter of the gradients at the end. Muon: the
    updates of its matrices are gathered, sharded also the gradients that they are made from.
    """
    ranks, P = batch.ranks, _FLOAT32 * shape.parameter_count
    blocks = _FLOAT32 * shape.blocks_count
    muon = _FLOAT32 * shape.matrices_count
    during, after = {}, {}
    if config.shard and ranks > 1:
        during["weights"] = batch.passes * gather_bytes(P + blocks, ranks)
        after["gradients"] = gather_bytes(P, ranks)
    else:
        after["gradients"] = all_reduce_bytes(P, ranks)
    if config.optimizer == "muon":
        times = 2 if config.shard and ranks > 1 else 1
        after["muon"] = times * gather_bytes(muon, ranks)
    return Traffic(during, after)


def transfer_seconds(sent: float, kind: DeviceKind, nodes: int) -> float:
    """Return how long bytes of a ring take: the slower of the links and of the nodes' network."""
    seconds = sent / (LINK_SHARE * kind.link)
    return max(seconds, sent / (LINK_SHARE * kind.network)) if nodes > 1 else seconds
