"""The processes that train one run together, and what they tell each other.

`torchrun` has started them and its environment says who is who. Rank 0 decides everything: it has
the run folder, the clock and the control file, and tells the others what to do next. Knows
torch.distributed; knows no trainer and no folder.
"""

import datetime
import json
import os
import sys
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

from tuillm.formats.json_text import JsonObject
from tuillm.training.distributed.rendezvous import rendezvous

# what rank 0 tells, as JSON, in bytes; an order has a handful of numbers
_LONGEST = 1024
# a paused run keeps its ranks waiting; one that has died ends the connection, which is noticed
_PATIENCE = datetime.timedelta(days=3650)

# newer versions of PyTorch have another name for it
_gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


class Ranks:
    """This process among those that train a run; alone, all that is told and summed is its own."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0, nodes: int = 1) -> None:
        self.rank, self.size = rank, size
        self.local_rank, self.nodes = local_rank, nodes

    @classmethod
    def join(cls, device_type: str) -> "Ranks":
        """Meet the other processes that torchrun has started; alone where it has started none.

        Gradients travel by NCCL between GPUs, else by gloo; orders always by gloo.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        backend = "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo"
        store, rank, size = rendezvous(_PATIENCE)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if device_type == "cuda":
            torch.cuda.set_device(local)
        nodes = size // max(int(os.environ.get("LOCAL_WORLD_SIZE", size)), 1)
        return cls(rank, size, local, max(nodes, 1))

    @property
    def together(self) -> bool:
        """Whether there are several."""
        return self.size > 1

    @property
    def leads(self) -> bool:
        """Whether this one decides: rank 0."""
        return self.rank == 0

    def tell(self, do: str, **values: object) -> None:
        """Tell the others what to do, as rank 0; nothing happens in another, or alone."""
        if self.together and self.leads:
            self._broadcast({"do": do} | values)

    def hear(self) -> JsonObject:
        """Wait for what rank 0 tells, as another rank."""
        return self._broadcast(None)

    def sum(self, *tensors: Tensor) -> None:
        """Replace tensors by their sums over all ranks, in place."""
        if self.together:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def all_agree(self, yes: bool) -> bool:
        """Whether this is so for each rank; all of them have to ask."""
        if not self.together:
            return yes
        lowest = torch.tensor(int(yes))
        dist.all_reduce(lowest, dist.ReduceOp.MIN)
        return bool(lowest)

    def same_as_first(self, *tensors: Tensor) -> None:
        """Replace tensors by those of rank 0, in place."""
        if self.together:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def gather(self, mine: Tensor) -> Tensor:
        """Return the tensors [n, ...] of all ranks, [size * n, ...], in the order of the ranks."""
        if not self.together:
            return mine
        whole = mine.new_empty((self.size * len(mine), *mine.shape[1:]))
        _gather_into(whole, mine.contiguous())
        return whole

    def slowest(self, seconds: float) -> tuple[int, float]:
        """Return the rank that took longest for something, and its share of the mean."""
        taken = self.gather(torch.tensor([seconds]))
        return int(taken.argmax()), float(taken.max() / taken.mean())

    def wait_for_all(self) -> None:
        """Go on when each rank has come here."""
        self.all_agree(True)

    def leave(self) -> None:
        """Part from the others when all have come here, and end this process.

        At once, and in order: what PyTorch takes down at the end of a process may abort it, for
        which torchrun would start all of them again. Alone, nothing happens.
        """
        if self.together:
            self.wait_for_all()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def _broadcast(self, told: JsonObject | None) -> JsonObject:
        buffer = torch.zeros(_LONGEST, dtype=torch.uint8)
        if told is not None:
            content = json.dumps(told).encode()
            buffer[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(buffer, 0)
        heard = bytes(buffer.tolist()).rstrip(b"\0")
        return cast(JsonObject, json.loads(heard))


def restarts() -> int:
    """How often torchrun has started these processes again because one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def may_restart() -> bool:
    """Whether torchrun will start these processes again if one dies."""
    return restarts() < int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
