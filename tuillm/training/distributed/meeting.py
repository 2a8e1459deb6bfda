"""How the ranks of a run meet, also when they are started again in the place of others that died.

torchrun keeps one key-value store over restarts, in which the addresses of the dead still stand; a
rank that reads one of these waits for a process that is no more. Here the ranks agree on a name
that no earlier meeting had, and look for each other under that name alone. Knows
torch.distributed's stores; knows nothing of training.
"""

import json
import time
import uuid
from datetime import timedelta
from typing import Any

from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

_POLL = 0.02


def meet(timeout: timedelta) -> tuple[Any, int, int]:
    """Return a store that only the ranks of this meeting know, this rank, and how many there are.

    Who is who stands in the environment, as torchrun or Slurm has set it.
    """
    store, rank, size = next(iter(rendezvous("env://", timeout=timeout)))
    name = _lead(store, size) if rank == 0 else _follow(store, rank)
    return PrefixStore(f"meeting/{name}", store), rank, size


def _lead(store: Any, size: int) -> str:
    """Choose a name, and tell it to whoever says hello until all have answered.

    A hello may be that of a dead process at first: the one in its place says another.
    """
    name = uuid.uuid4().hex
    while size > 1 and store.add(f"heard/{name}", 0) < size - 1:
        keys = [f"hello/{rank}" for rank in range(1, size)]
        known = [store.get(key).decode() for key in keys if store.check([key])]
        store.set("welcome", json.dumps({"name": name, "known": known}))
        time.sleep(_POLL)
    return name


def _follow(store: Any, rank: int) -> str:
    """Say hello and wait to be welcomed: what does not know this hello is of an earlier meeting."""
    hello = uuid.uuid4().hex
    store.set(f"hello/{rank}", hello)
    while True:
        welcome = json.loads(store.get("welcome"))
        if hello in welcome["known"]:
            store.add(f"heard/{welcome['name']}", 1)
            return str(welcome["name"])
        time.sleep(_POLL)
