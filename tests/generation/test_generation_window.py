"""The sliding window, the cache that follows it, and what a prompt costs."""

import pytest
import torch

from tuillm.generation.context import Context
from tuillm.generation.context_window import fit, slide


@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 31, 32])
@pytest.mark.parametrize("n_keep", [0, 1, 5, 1000])
def test_slide_keeps_the_first_and_the_newest(block_size, n_keep):
    """Half of the context stays: the first ids, then the newest, which are never all dropped."""
    window = list(range(block_size))
    found = slide(window, block_size, n_keep)
    first = max(0, min(n_keep, block_size // 2 - 1))
    assert len(found) == block_size // 2 < block_size
    assert found == window[:first] + window[block_size - (len(found) - first) :]
    assert not found or found[-1] == window[-1]


@pytest.mark.parametrize("block_size", [1, 2, 9])
def test_fit_of_a_prompt(block_size):
    """A prompt that fits stays as it is; a longer one keeps its end and is never empty."""
    for length in range(1, 30):
        ids = list(range(length))
        found = fit(ids, block_size)
        assert found == ids if length <= block_size else 0 < len(found) <= block_size
        assert found[-1] == ids[-1]


@torch.inference_mode()
def test_common_beginning_is_computed_once(talker):
    """A prompt that continues what was read costs only its new ids, one at least."""
    context = Context(talker().model)
    first = list(range(20))
    for ids, cost in [
        (first, 20),
        (first + [30, 31], 2),
        (first + [30, 31], 1),
        (first[:10] + [40], 1),
        (first[:5], 1),
        ([50, *first], 21),
    ]:
        before = context.prefilled
        logits, dropped = context.read(ids)
        assert (context.prefilled - before, dropped) == (cost, 0)
        expected = context.model(torch.tensor([ids]))[:, -1]
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_reply_is_part_of_the_common_beginning(talker):
    """A second turn of a conversation does not compute the first again."""
    sampler = talker()
    prompt = sampler.tokenizer.encode("hello")
    reply = [token.id for token in sampler.stream(prompt, max_new_tokens=6, seed=1)]
    before = sampler.context.prefilled
    turn = prompt + reply + sampler.tokenizer.encode("and")
    next(sampler.stream(turn, max_new_tokens=1))
    assert sampler.context.prefilled - before == 4  # the reply's last id was never fed


@pytest.mark.parametrize("n_keep", [0, 5])
def test_dropped_ids_are_told(talker, n_keep):
    """Each slide of the window says how many ids it cost, and the count adds up."""
    sampler = talker()
    prompt = sampler.tokenizer.encode("a" * 30)
    tokens = list(sampler.stream(prompt, max_new_tokens=60, seed=1, n_keep=n_keep))
    slides = [token.index for token in tokens if token.dropped]
    assert slides == [3, 19, 35, 51]
    assert {token.dropped for token in tokens} == {0, 16}
    fed = len(prompt) + len(tokens) - 1
    assert fed - sum(token.dropped for token in tokens) == sampler.context.length


def test_prompt_longer_than_the_context(talker):
    """A prompt that does not fit says with the first token what was dropped of it."""
    sampler = talker()
    tokens = list(sampler.stream(sampler.tokenizer.encode("ab" * 50), max_new_tokens=3, seed=1))
    assert [token.dropped for token in tokens] == [84, 0, 0]


def test_context_of_a_single_place(talker):
    """Even a model that sees one token at a time talks on."""
    sampler = talker(block_size=1)
    tokens = list(sampler.stream("hello", max_new_tokens=5, seed=1))
    assert [token.index for token in tokens] == [0, 1, 2, 3, 4]
    assert [token.dropped for token in tokens] == [4, 1, 1, 1, 1]
