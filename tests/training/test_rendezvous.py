"""Ranks find those of their own start, whatever earlier starts have left in the store."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from tuillm.training.distributed.rendezvous import accept_id, offer_id


def a_store():
    """A store that only this process knows."""
    torch: Any = import_module("torch.distributed")  # which has it only where it is built
    return torch.HashStore()


def start(store, size, order):
    """Let the ranks of one start arrive in an order; return the ids that they agreed on."""
    with ThreadPoolExecutor(size) as pool:
        begun = [
            pool.submit(offer_id, store, size) if rank == 0 else pool.submit(accept_id, store, rank)
            for rank in order
        ]
        return {each.result(timeout=30) for each in begun}


def test_each_start_has_an_id_of_its_own():
    """All ranks agree on it, also when nonces and offers of earlier starts are still there."""
    store, ids = a_store(), []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)) * 5:
        (start_id,) = start(store, 3, order)
        ids.append(start_id)
    assert len(set(ids)) == len(ids)


def test_ranks_that_died_in_the_rendezvous_are_not_waited_for():
    """One that had written its nonce only, and a rank 0 that had offered an id to others."""
    store = a_store()
    store.set("nonce/1", "of a dead process")
    store.set("offer", '{"id": "stale", "nonces": ["of a dead process", "of another"]}')
    (start_id,) = start(store, 2, (1, 0))
    assert start_id != "stale"


def test_one_rank_alone_waits_for_nobody():
    """There is no other rank."""
    assert len(start(a_store(), 1, (0,))) == 1
