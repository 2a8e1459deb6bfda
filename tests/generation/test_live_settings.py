"""Settings that change while a reply streams, and replies that are taken up again."""

import pytest

from tuillm.config import SamplingConfig, build_sampling
from tuillm.generation.detokenizer import TextStream
from tuillm.generation.sampler import ReplyState

CONFIG = SamplingConfig(temperature=1, top_k=0, max_new_tokens=30, seed=5)


def test_a_function_is_asked_before_each_token(talker):
    """What it gives holds from the next token on; seed, stop and heal are those of the start."""
    plain = [token.id for token in talker().stream("hello", CONFIG)]
    asked = []

    def ask():
        asked.append(len(asked))
        fixed = {"seed": 9, "stop": "e", "heal": False, "n_keep": 9} if len(asked) > 3 else {}
        return build_sampling(fixed | {"top_k": 1 if len(asked) > 11 else 0}, CONFIG)

    sampler = talker()
    found = [token.id for token in sampler.stream("hello", ask)]
    assert found[:10] == plain[:10] and len(found) == 30 and len(asked) == 31
    ids = sampler.tokenizer.encode("hello") + found[:10]
    greedy = talker().stream(ids, temperature=0, max_new_tokens=20)
    assert found[10:] == [token.id for token in greedy]


@pytest.mark.parametrize("limit", [1, 3, 12])
def test_the_limit_can_move(talker, limit):
    """A smaller limit ends the reply at the next token, with its finish told."""
    configs = [CONFIG] * 6 + [build_sampling({"max_new_tokens": limit}, CONFIG)] * 90
    sampler = talker()
    tokens = list(sampler.stream("hello", lambda: configs.pop(0)))
    assert len(tokens) == max(limit, 6) and tokens[-1].finish == "length"


def test_settings_lie_over_what_a_function_gives(talker):
    """Settings typed beside a function win over what it gives at the start."""
    tokens = list(talker().stream("hello", lambda: CONFIG, max_new_tokens=4))
    assert len(tokens) == 4


@pytest.mark.parametrize("place", [1, 7, 29])
@pytest.mark.parametrize("temperature", [0, 1])
def test_a_reply_goes_on_where_it_was(talker, place, temperature):
    """From its ids, its seed and how many were drawn, a reply goes on to the same tokens."""
    config = build_sampling({"temperature": temperature, "max_new_tokens": 60}, CONFIG)
    sampler = talker(block_size=128)
    prompt = sampler.tokenizer.encode("hello")
    whole = list(sampler.stream(prompt, config))
    text = TextStream(sampler.tokenizer, ())
    for token in whole[:place]:
        text.push(token.id)
    ids = prompt + [token.id for token in whole[:place]]
    there = ReplyState(text, 5, index=place, drawn=place)
    rest = list(talker(block_size=128).go_on(ids, lambda: config, there))
    assert [token.id for token in rest] == [token.id for token in whole[place:]]
    assert [token.index for token in rest] == list(range(place, 60))
    assert rest[-1].finish == "length"


def test_words_before_a_place_are_never_read_otherwise(talker):
    """Healing is told where the typed words begin; with letters there is nothing to heal."""
    sampler = talker()
    ids = sampler.tokenizer.encode("hello wor")
    reading, logits = sampler.heal(ids, 6)
    assert reading.ids == ids and reading.last is None and logits.shape[0] == 1
