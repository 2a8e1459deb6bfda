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


EOT = 60_000


def documents(*sizes, begin=True, end=True):
    """Batches of one window over documents of so many tokens, and where these begin.

    The ids tell their places; an end of text stands before and behind each document.
    """
    tokens = np.arange(sum(sizes) + len(sizes) - 1 + begin + end, dtype=np.uint16)
    first = int(begin) + np.cumsum([0, *(size + 1 for size in sizes)])
    places = [place for place in (first - 1).tolist() if 0 <= place < len(tokens)]
    tokens[places] = EOT
    return Batches(tokens, T, 1, 1, EOT), first[:-1].tolist()


def epoch_windows(batches, epoch):
    """The windows of one epoch, each T + 1 ids, in the order they come."""
    batches.seek(epoch, 0)
    windows = []
    while True:
        idx, targets = batches.next(CPU)
        if batches.epoch != epoch:
            return windows
        windows.append([*idx[0].tolist(), int(targets[0, -1])])


@pytest.mark.parametrize("length", [T + 1, T + 2, 3 * T, N])
def test_every_epoch_visits_each_window_once(length):
    """An epoch's windows lie side by side from its offset on, and another at each end of the text.

    They come each once, shuffled.
    """
    batches = make(batch_size=1, length=length)
    offsets = set()
    for epoch in range(6):
        starts = epoch_starts(batches, epoch)
        whole = sorted(starts)
        assert (whole[0], whole[-1]) == (0, length - 1 - T) and len(set(starts)) == len(starts)
        inner = whole[1:-1]
        assert inner == list(range(inner[0], length - 1 - T, T)) if inner else length <= 2 * T + 1
        offsets.update(inner[:1])
    if length == N:
        assert len(offsets) > 1 and max(offsets) <= T and starts != sorted(starts)


SIZES = [(500,), (100, 300, 50), (5, 3, 200, 9), (20, 1), (7,) * 30]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("end", [True, False])
def test_every_epoch_begins_each_document(sizes, end):
    """A window begins behind each document's end of text, and one with its first token.

    Where the last document is not whole, it is begun so if a window fits into it.
    """
    batches, first = documents(*sizes, end=end)
    whole = len(batches._tokens)
    for epoch in range(4):
        windows = epoch_windows(batches, epoch)
        for start in first:
            if end or start + T < whole:
                assert any(window[0] == EOT and window[1] == start for window in windows)
                assert any(window[0] == start for window in windows)
            assert any(
                window[at + 1] == start
                for window in windows
                for at in range(T)
                if window[at] == EOT
            )


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("begin, end", [(True, True), (True, False), (False, False)])
def test_every_token_is_learned_about_once_an_epoch(sizes, begin, end):
    """Each token is a target in every epoch, in long documents mostly once."""
    batches, first = documents(*sizes, begin=begin, end=end)
    tokens = batches._tokens.tolist()
    for epoch in range(4):
        counts = dict.fromkeys(tokens[1:], 0)
        for window in epoch_windows(batches, epoch):
            for target in window[1:]:
                counts[target] = counts.get(target, 0) + 1
        assert min(counts.values()) >= 1
        if min(sizes) > 2 * T:
            assert max(count for id, count in counts.items() if id != EOT) <= 4
            assert np.median(list(counts.values())) == 1


def test_round_the_end_the_first_document_follows():
    """Behind the last end of text comes the first document, with no second end of text between."""
    batches, _ = documents(20, 40)
    windows = [window for epoch in range(5) for window in epoch_windows(batches, epoch)]
    followers = {
        after
        for window in windows
        for before, after in zip(window, window[1:], strict=False)
        if before == EOT
    }
    assert followers == {1, 22}
    assert all(
        after == before + 1
        for window in windows
        for before, after in zip(window, window[1:], strict=False)
        if EOT not in (before, after)
    )


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
