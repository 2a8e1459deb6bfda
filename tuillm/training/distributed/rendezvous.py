"""The rendezvous of the ranks of a run, also when torchrun has started them again.

torchrun keeps one key-value store over restarts, in which the addresses of processes that have died
are still found: a rank that reads one of these waits for ever. Here rank 0 draws an id for each
start, the ranks agree on it, and exchange their addresses under that id alone. Knows
torch.distributed's stores; knows nothing of training.
"""

import json
import time
import uuid
from datetime import timedelta
from typing import Any

from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous as join

_POLL = 0.02


def rendezvous(timeout: timedelta) -> tuple[Any, int, int]:
    """Return a store that the ranks of this start share, this process's rank, and their number.

    Rank and number come from the environment, as torchrun has set it.
    """
    store, rank, size = next(iter(join("env://", timeout=timeout)))
    start_id = offer_id(store, size) if rank == 0 else accept_id(store, rank)
    return PrefixStore(f"start/{start_id}", store), rank, size


def offer_id(store: Any, size: int) -> str:
    """Draw an id, as rank 0, and offer it until all other ranks have acknowledged it.

    The offer repeats the nonces of the ranks that it is for. One of them may be that of a process
    that has died; the process that replaces it writes another, which the next offer has.
    """
    start_id = uuid.uuid4().hex
    while size > 1 and store.add(f"acknowledged/{start_id}", 0) < size - 1:
        keys = [f"nonce/{rank}" for rank in range(1, size)]
        nonces = [store.get(key).decode() for key in keys if store.check([key])]
        store.set("offer", json.dumps({"id": start_id, "nonces": nonces}))
        time.sleep(_POLL)
    return start_id


def accept_id(store: Any, rank: int) -> str:
    """Write a nonce, as another rank, and acknowledge the offer that has it; return its id."""
    nonce = uuid.uuid4().hex
    store.set(f"nonce/{rank}", nonce)
    while True:
        offer = json.loads(store.get("offer"))
        if nonce in offer["nonces"]:
            store.add(f"acknowledged/{offer['id']}", 1)
            return str(offer["id"])
        time.sleep(_POLL)
