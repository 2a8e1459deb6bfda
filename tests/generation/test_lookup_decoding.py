"""Drafts change no token of a reply: not greedy, not drawn, not where it ends or is broken off."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from generation.drafting import Predicted, drafting

from tuillm.config import SamplingConfig
from tuillm.generation.draft_model import DraftModel
from tuillm.generation.draft_tokens import ConversationLookup
from tuillm.generation.sampling import choose_candidates

PROMPTS = ["hello there hello", "abab", "a", "the quick the quick the", "zz top\nzz", "o"]
CONFIGS = {
    "greedy": {"temperature": 0},
    "penalised": {"temperature": 0, "repetition_penalty": 1.3},
    "drawn": {"temperature": 0.8, "top_k": 0, "seed": 7},
    "cut": {"temperature": 1.2, "top_k": 5, "top_p": 0.9, "min_p": 0.05, "seed": 3},
}


def same(found, expected):
    """Whether tokens are the same in all but the last digits of their log probabilities."""
    found, expected = list(found), list(expected)
    return [replace(t, logprob=0) for t in found] == [replace(t, logprob=0) for t in expected] and (
        [t.logprob for t in found] == pytest.approx([t.logprob for t in expected], abs=1e-3)
    )


@pytest.mark.parametrize(
    "size", [5, *(pytest.param(size, marks=pytest.mark.slow) for size in (2, 16))]
)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("block_size", [32, 256])
def test_the_tokens_are_those_of_plain_decoding(talker, config, size, block_size):
    """With drafts of the conversation, right ones and wrong ones, also when the context is full."""
    sampler = talker(block_size=block_size)
    settings = dict(max_new_tokens=90, **config)
    for prompt in PROMPTS:
        sampler.context.truncate(0)
        plain = list(sampler.stream(prompt, lookup="off", **settings))
        ids = sampler.tokenizer.encode(prompt) + [token.id for token in plain]
        rows = [list(row) for row in sampler.context.rows]
        for drafters in (
            [ConversationLookup()],
            [Predicted(ids)],
            [Predicted(ids, wrong=0.3)],
            [ConversationLookup(), Predicted(ids, wrong=1.0)],
        ):
            drafting(sampler, drafters, size)
            sampler.context.truncate(0)
            assert same(sampler.stream(prompt, **settings), plain)
            assert sampler.context.rows == rows
            assert sampler.context._cache.length == sampler.context.length
    assert sampler.speculation.accepted > 0


def test_right_drafts_take_few_steps(talker):
    """Eight tokens of a draft that is right are one call of the model."""
    sampler = talker(block_size=256)
    plain = [token.id for token in sampler.stream("hello", lookup="off", seed=1)]
    ids = sampler.tokenizer.encode("hello") + plain
    drafting(sampler, [Predicted(ids)], 8)
    calls = []
    sampler.context.truncate(0)
    sampler.model.register_forward_hook(lambda module, args, out: calls.append(args[0].shape[1]))
    assert [token.id for token in sampler.stream("hello", seed=1)] == plain
    assert calls == [5] + [8] * 25
    assert sampler.speculation.drafted == 25 * 7
    assert sampler.speculation.accepted == 25 * 7 - 1  # nothing follows the last token


@pytest.mark.slow
def test_the_distribution_is_the_models_own(talker):
    """Drafts that are mostly wrong leave three tokens their probability (a chi-squared test)."""
    sampler = talker(block_size=64)
    config = SamplingConfig(temperature=1.5, top_k=3, max_new_tokens=3)
    prompt = sampler.tokenizer.encode("hello")

    def follow(ids):
        logits, _ = sampler.context.read(prompt + ids)
        kept = choose_candidates(logits, config, torch.empty(1, 0, dtype=torch.int64))
        shares = torch.softmax(kept.full(logits.shape[1]), -1)[0]
        return [(token, share) for token, share in enumerate(shares.tolist()) if share > 0]

    with torch.inference_mode():
        expected = {
            (first, second, third): one * two * three
            for first, one in follow([])
            for second, two in follow([first])
            for third, three in follow([first, second])
        }
    found, drafts, count = Counter(), list(expected), 1500
    drafting(sampler, [], 3)
    for seed in range(count):
        predicted = prompt + [*drafts[seed % 27]]
        sampler.speculation.drafters[:] = [Predicted(predicted, wrong=0.2, seed=seed)]
        tokens = sampler.stream(prompt, config.model_copy(update={"seed": seed}))
        found[tuple(token.id for token in tokens)] += 1
    assert len(expected) == 27 and found.keys() <= expected.keys()
    chi2 = sum((found[ids] - count * p) ** 2 / (count * p) for ids, p in expected.items())
    assert chi2 < 60  # of 26 degrees of freedom: one in ten thousand
    assert 200 < sampler.speculation.accepted < sampler.speculation.drafted / 2


@pytest.mark.parametrize("cut", [4, 9, 10, 17])
def test_a_stop_string_inside_a_draft(talker, cut):
    """A reply ends where the text has its stop string, whatever of the draft would follow."""
    sampler = talker(block_size=128)
    plain = list(sampler.stream("hello", lookup="off", seed=2, max_new_tokens=40))
    stop = "".join(token.text for token in plain[cut - 3 : cut])
    ended = list(sampler.stream("hello", lookup="off", seed=2, max_new_tokens=40, stop=stop))
    rows = [list(row) for row in sampler.context.rows]
    assert ended[-1].finish == "stop"
    ids = sampler.tokenizer.encode("hello") + [token.id for token in plain]
    drafting(sampler, [Predicted(ids)], 16)
    assert same(sampler.stream("hello", seed=2, max_new_tokens=40, stop=stop), ended)
    assert sampler.context.rows == rows
    assert sampler.context._cache.length == sampler.context.length


def test_an_end_of_text_inside_a_draft(talker):
    """The model's end of text ends a reply inside a draft, and nothing of the draft is read."""
    sampler = talker(block_size=128)
    plain = list(sampler.stream("hello", lookup="off", seed=2, max_new_tokens=40))
    end = plain[12].id
    length = next(token.index for token in plain if token.id == end) + 1
    ids = sampler.tokenizer.encode("hello") + [token.id for token in plain]
    drafting(sampler, [Predicted(ids)], 16)
    sampler.tokenizer.ends = frozenset({end})
    found = list(sampler.stream("hello", seed=2, max_new_tokens=40))
    assert (len(found), found[-1].finish) == (length, "end")
    assert sampler.context.rows == [ids[: 5 + length - 1]]
    assert sampler.context._cache.length == sampler.context.length


@pytest.mark.parametrize("position", range(1, 19))
def test_a_reply_closed_anywhere(talker, position):
    """What was read is what was shown but for its last token; the next reply goes on from it."""
    sampler = talker(block_size=128)
    plain = list(sampler.stream("hello", lookup="off", seed=2, max_new_tokens=40))
    ids = sampler.tokenizer.encode("hello") + [token.id for token in plain]
    drafting(sampler, [Predicted(ids)], 6)
    tokens = sampler.stream("hello", seed=2, max_new_tokens=40)
    shown = [next(tokens) for _ in range(position)]
    assert sampler.context.rows == [ids[: 5 + position - 1]]  # also before it is closed
    tokens.close()
    assert same(shown, plain[:position])
    assert sampler.context.rows == [ids[: 5 + position - 1]]
    assert sampler.context._cache.length == sampler.context.length
    before = sampler.context.prefilled
    with torch.inference_mode():
        logits, _ = sampler.context.read(ids[: 5 + position])
        assert sampler.context.prefilled - before == 1
        alone = sampler.model(torch.tensor([ids[: 5 + position]]))[:, -1]
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)


def test_settings_that_change_in_the_middle(talker):
    """Each token is drawn by the settings of its moment, also inside a draft and with none."""
    sampler = talker(block_size=128)

    def asks(lookup):
        count = 0

        def ask():
            nonlocal count
            count += 1
            off = lookup == "off" or 10 < count < 20
            return SamplingConfig(
                temperature=[0.5, 1.5, 0][count // 7 % 3],
                repetition_penalty=1.2 if count % 11 > 5 else 1,
                max_new_tokens=60,
                seed=4,
                lookup="off" if off else "auto",
            )

        return ask

    plain = list(sampler.stream("hello", asks("off")))
    ids = sampler.tokenizer.encode("hello") + [token.id for token in plain]
    drafting(sampler, [Predicted(ids, wrong=0.2), ConversationLookup()], 7)
    assert same(sampler.stream("hello", asks("auto")), plain)
    assert sampler.speculation.accepted > 20


def test_several_replies_and_other_turns(talker):
    """Replies side by side take no drafts, and one that was left behind says that it has ended."""
    sampler = talker(block_size=128)
    plain = sampler.generate("hello", num_samples=3, lookup="off", seed=3, max_new_tokens=20)
    assert sampler.generate("hello", num_samples=3, seed=3, max_new_tokens=20) == plain
    assert sampler.speculation.drafted == 0
    drafting(sampler, [Predicted(list(range(26)) * 4)], 6)
    first = sampler.stream("hello", seed=1)
    next(first)
    second = sampler.stream("there", seed=1, max_new_tokens=30)
    shown = [next(second)]
    with pytest.raises(RuntimeError, match="went on with another"):
        next(first)
    shown += second
    assert same(shown, talker(block_size=128).stream("there", seed=1, max_new_tokens=30))


@pytest.mark.parametrize("block_size", [16, 64])
def test_a_small_model_drafts(talker, block_size):
    """A draft model of a short context and other weights changes nothing; the same is right."""
    sampler = talker(block_size=128)
    settings = dict(temperature=0, max_new_tokens=100)
    plain = list(sampler.stream("hello there", lookup="off", **settings))
    for seed in (0, 1):
        other = talker(seed=seed, block_size=block_size).model
        drafting(sampler, [DraftModel(other)], 5)
        before = sampler.speculation.drafted, sampler.speculation.accepted
        sampler.context.truncate(0)
        assert same(sampler.stream("hello there", **settings), plain)
        assert sampler.speculation.drafted > before[0]
    drafting(sampler, [DraftModel(talker(block_size=128).model)], 5)
    before = sampler.speculation.drafted, sampler.speculation.accepted
    assert same(sampler.stream("hello there", **settings), plain)
    drafted, accepted = sampler.speculation.drafted, sampler.speculation.accepted
    assert accepted - before[1] > 70
    assert drafted - before[0] <= accepted - before[1] + 4  # the last draft goes beyond the end


def test_fewer_bits_are_tried_out_first(talker):
    """Where several positions may round otherwise, a promised text has drafts only if it stays."""
    sampler = talker(block_size=128)
    settings = dict(seed=1, max_new_tokens=50)
    plain = list(sampler.stream("hello", lookup="off", **settings))
    ids = sampler.tokenizer.encode("hello") + [token.id for token in plain]
    speculation = drafting(sampler, [Predicted(ids)], 4).speculation

    def drafted(exact, **changes):
        before, speculation._exact = speculation.drafted, exact
        tokens = list(sampler.stream("hello", **settings | changes))
        assert changes.get("seed", 1) is None or same(tokens, plain)
        return speculation.drafted - before

    assert drafted(False) == 0
    assert drafted(False, lookup="on") > 30
    assert drafted(False, seed=None) > 0  # nothing is promised
    assert drafted(True) > 30
    drafted(None)
    assert speculation._exact is not None  # it was tried out, and no token was lost by that
