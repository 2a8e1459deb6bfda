"""Ranks meet those of their own start, whatever earlier ones have left in the store."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from tuillm.training.distributed.meeting import _follow, _lead


def a_store():
    """A store that only this process knows."""
    torch: Any = import_module("torch.distributed")  # which has it only where it is built
    return torch.HashStore()


def meeting(store, size, order):
    """Let the ranks of one start come in an order; return the names that they agreed on."""
    with ThreadPoolExecutor(size) as pool:
        begun = [
            pool.submit(_lead, store, size) if rank == 0 else pool.submit(_follow, store, rank)
            for rank in order
        ]
        return {each.result(timeout=30) for each in begun}


def test_each_start_has_a_name_of_its_own():
    """All ranks agree on it, also when hellos and welcomes of earlier starts are still there."""
    store, names = a_store(), []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)) * 5:
        (name,) = meeting(store, 3, order)
        names.append(name)
    assert len(set(names)) == len(names)


def test_ranks_that_died_at_the_door_are_not_waited_for():
    """One that had said hello only, and a first one that had welcomed others."""
    store = a_store()
    store.set("hello/1", "of the dead")
    store.set("welcome", '{"name": "gone", "known": ["of the dead", "and of another"]}')
    (name,) = meeting(store, 2, (1, 0))
    assert name != "gone"


def test_one_alone_waits_for_nobody():
    """There is no other rank."""
    assert len(meeting(a_store(), 1, (0,))) == 1
