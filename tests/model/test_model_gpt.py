"""The model itself: its cache, its limits, its first weights."""

import math
import random
from typing import Any

import pytest
import torch

from tuillm.model import GPT, GPTConfig
from tuillm.model.gpt import sinusoids

SHAPE: dict[str, Any] = dict(vocab_size=50, block_size=256, n_layer=2, n_head=2, n_embd=16)


def make(scrambled, **shape):
    return scrambled(GPT(GPTConfig(**(SHAPE | shape))))


def cache_for(model, batch=1):
    return model.new_cache(batch)


def random_ids(batch, length, seed=0):
    return torch.randint(50, (batch, length), generator=torch.Generator().manual_seed(seed))


def random_chunks(length, longest, seed):
    """Cut a length into random pieces, many of them a single position."""
    draw, sizes = random.Random(seed), []
    while (left := length - sum(sizes)) > 0:
        sizes.append(min(left, draw.choice([1, 1, 1, draw.randint(1, longest)])))
    return sizes


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_chunks_through_the_cache_equal_one_forward(scrambled, seed):
    """However a text is cut, reading it through the cache gives the logits of one forward."""
    model, idx = make(scrambled), random_ids(2, 256, seed)
    cache = cache_for(model, batch=2)
    pieces = idx.split(random_chunks(256, 40, seed), 1)
    logits = torch.cat([model(piece, cache) for piece in pieces], 1)
    torch.testing.assert_close(logits, model(idx), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_truncated_cache_goes_on_from_there(scrambled):
    """What a truncated cache forgot leaves no trace in what follows."""
    model, cache = make(scrambled), None
    start, wrong, right = random_ids(1, 10), random_ids(1, 30, 1), random_ids(1, 5, 2)
    cache = cache_for(model)
    model(start, cache)
    model(wrong, cache)
    cache.truncate(10)
    expected = model(torch.cat([start, right], 1))[:, 10:]
    torch.testing.assert_close(model(right, cache), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_expanded_cache_serves_each_row(scrambled):
    """Replies that share a prompt's cache get the logits each would get alone."""
    model, prompt, rows = make(scrambled), random_ids(1, 9), random_ids(3, 4, 1)
    cache = cache_for(model)
    model(prompt, cache)
    expected = model(torch.cat([prompt.expand(3, -1), rows], 1))[:, 9:]
    found = model(rows, cache.expanded(3))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert cache.length == 9


@torch.no_grad()
def test_last_is_the_last_position(scrambled):
    """`last=1` computes the head for the final position only, with the same result."""
    model, idx = make(scrambled), random_ids(2, 12)
    found = model(idx, last=1)
    assert found.shape == (2, 1, 50)
    torch.testing.assert_close(found[:, 0], model(idx)[:, -1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("held", [None, 0, 250])
@torch.no_grad()
def test_too_many_positions(scrambled, held):
    """Asking for more positions than there are raises ValueError, with a cache or without."""
    model = make(scrambled)
    cache = None if held is None else cache_for(model)
    if held:
        model(random_ids(1, held), cache)
    with pytest.raises(ValueError, match="block_size is 256"):
        model(random_ids(1, 257 - (held or 0)), cache)


@torch.no_grad()
def test_no_position_sees_the_future(scrambled):
    """Changing an id changes the logits from its position on and none before it."""
    model, idx = make(scrambled), random_ids(1, 40)
    other = idx.clone()
    other[0, 25] = (other[0, 25] + 1) % 50
    difference = (model(idx) - model(other)).abs().amax((0, 2))
    assert difference[:25].max() < 1e-5 < difference[25:].min()


def test_loss_is_the_mean_cross_entropy(scrambled):
    """The loss is the mean negative log probability of the targets, in nats."""
    model, idx, targets = make(scrambled), random_ids(2, 20), random_ids(2, 20, 1)
    logprobs = model(idx).double().log_softmax(-1).gather(2, targets[..., None])
    torch.testing.assert_close(model.loss(idx, targets).double(), -logprobs.mean())


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("n_layer", [0, 3])
def test_parameter_count(tie, n_layer):
    """The count is that of the published formula, a tied head counted once."""
    shape = SHAPE | dict(n_layer=n_layer, tie_weights=tie, bias=True)
    C, V, T = shape["n_embd"], shape["vocab_size"], shape["block_size"]
    expected = V * C * (1 if tie else 2) + T * C + 2 * C + n_layer * (12 * C * C + 13 * C)
    assert GPT(GPTConfig(**shape)).parameter_count == expected


@pytest.mark.parametrize("positions", ["random", "sinusoid", "none"])
@torch.no_grad()
def test_first_weights_make_blocks_the_identity(positions):
    """A fresh model computes what it would without blocks, and knows next to nothing."""
    model = GPT(GPTConfig(**SHAPE, bias=True))
    model.init_weights(positions, torch.Generator().manual_seed(0))
    idx = random_ids(2, 64)
    x = model.wte(idx) + model.wpe.weight[:64]
    torch.testing.assert_close(model(idx), model.lm_head(model.ln_f(x)))
    assert bool(model.wpe.weight.any()) == (positions != "none")
    assert model.loss(idx, random_ids(2, 64, 1)) == pytest.approx(math.log(50), abs=0.1)


def test_first_weights_follow_the_seed():
    """Equal seeds draw equal weights, other seeds other ones."""
    drawn = []
    for seed in (1, 1, 2):
        model = GPT(GPTConfig(**SHAPE))
        model.init_weights("random", torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 129])
@pytest.mark.parametrize("length", [1, 2, 50])
def test_sinusoids(length, width):
    """The table has the asked shape for any width; sines and cosines end with the slowest."""
    table, half = sinusoids(length, width), max(width // 2, 1)
    assert table.shape == (length, width)
    assert bool(table.isfinite().all()) and table.abs().max() <= 1
    places = torch.arange(length)
    fastest = torch.sin(places * math.pi / 1.5)
    torch.testing.assert_close(table[:, 0], fastest, atol=1e-5, rtol=0)
    if half > 1:
        slowest = torch.cos(places * math.pi / length)
        torch.testing.assert_close(table[:, 2 * half - 1], slowest, atol=1e-5, rtol=0)
