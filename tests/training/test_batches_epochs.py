"""Batches: each epoch every window once, all of it from the seed."""

import numpy as np
import pytest
import torch

from tuillm.training.batches import Batches

CPU = torch.device("cpu")
N, T = 1000, 16


def make(batch_size=5, seed=1, length=N, block_size=T):
    """Batches over ids that tell their own places."""
    return Batches(np.arange(length, dtype=np.uint16), block_size, batch_size, seed)


def epoch_starts(batches, epoch):
    """Where the windows of one epoch begin, in the order they come; one window a batch."""
    batches.seek(epoch, 0)
    starts = []
    while True:
        idx, _ = batches.next(CPU)
        if batches.epoch != epoch:
            return starts
        starts.append(int(idx[0, 0]))


@pytest.mark.parametrize("length", [T + 1, T + 2, 3 * T, N])
def test_every_epoch_visits_each_window_once(length):
    """An epoch's windows lie side by side from its offset to the end, each once, shuffled."""
    batches = make(batch_size=1, length=length)
    offsets = set()
    for epoch in range(6):
        starts = epoch_starts(batches, epoch)
        offset = min(starts)
        assert sorted(starts) == list(range(offset, length - T, T))
        assert offset < T
        offsets.add(offset)
    if length == N:
        assert len(offsets) > 1 and starts != sorted(starts)


def test_targets_are_the_next_ids():
    """Targets are the inputs moved by one, as int64."""
    idx, targets = make().next(CPU)
    assert idx.shape == targets.shape == (5, T) and idx.dtype == torch.int64
    assert torch.equal(targets, idx + 1)


@pytest.mark.parametrize("batch_size", [1, 7, 200])
def test_batches_are_always_full(batch_size):
    """A batch that an epoch cannot fill goes on into the next one, or into several."""
    batches = make(batch_size)
    for _ in range(30):
        assert batches.next(CPU)[0].shape == (batch_size, T)


@pytest.mark.parametrize("skipped", [0, 1, 11, 12, 13, 40])
def test_seek_reproduces(skipped):
    """From the epoch and position of any moment on, the same batches come again."""
    batches = make()
    for _ in range(skipped):
        batches.next(CPU)
    place = batches.epoch, batches.position
    expected = [batches.next(CPU)[0] for _ in range(20)]
    other = make()
    other.seek(*place)
    assert all(torch.equal(other.next(CPU)[0], idx) for idx in expected)


def test_seed_decides_the_order():
    """The same seed gives the same batches, another seed another order."""
    first, same, other = (make(seed=seed).next(CPU)[0] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_batch_size_does_not_change_the_order():
    """Two batches of four are one batch of eight, across epochs too."""
    small, large = make(4), make(8)
    for _ in range(40):
        halves = torch.cat([small.next(CPU)[0], small.next(CPU)[0]])
        assert torch.equal(halves, large.next(CPU)[0])
