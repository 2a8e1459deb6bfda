"""Prompts that end in the middle of a word: read as the model learned, or left as typed."""

import pytest
from known_line import LINE

from tuillm import Sampler


@pytest.mark.everyday(6)
@pytest.mark.parametrize("cut", range(12, len(LINE) - 2))
def test_a_sentence_known_by_heart_goes_on_from_any_cut(line_folder, cut):
    """Wherever the sentence is cut, in a word, before or after a blank, it is continued."""
    sampler = Sampler(line_folder)
    reply = sampler.generate(LINE[:cut], temperature=0, max_new_tokens=12)
    assert (LINE[:cut] + reply).startswith(LINE[: cut + 5])


def test_healing_can_be_switched_off_and_never_touches_ids(line_folder):
    """Without healing, and for a prompt of ids, the very tokens typed are what is continued."""
    sampler = Sampler(line_folder)
    prompt = LINE[:34] + "reso"
    ids = sampler.tokenizer.encode(prompt)
    plain = sampler.generate(prompt, temperature=0, max_new_tokens=12, heal=False)
    by_ids = "".join(token.text for token in sampler.stream(ids, temperature=0, max_new_tokens=12))
    assert plain == by_ids
    assert sampler.generate(prompt, temperature=0, max_new_tokens=12).startswith("lved and the")


def test_all_samples_share_the_finished_word_and_no_more_than_the_limit(line_folder):
    """The word is finished the same way in each row, and counts as one of the new tokens."""
    sampler = Sampler(line_folder)
    tokens = list(sampler.stream(LINE[:34] + "reso", num_samples=3, max_new_tokens=2, seed=1))
    assert [token.row for token in tokens] == [0, 1, 2, 0, 1, 2]
    assert {token.text for token in tokens[:3]} == {tokens[0].text}
    assert [token.finish for token in tokens[3:]] == ["length"] * 3


def test_a_word_the_model_does_not_know_stays_as_typed(line_folder):
    """Where no other reading is far likelier, nothing is changed."""
    sampler = Sampler(line_folder)
    prompt = "Marda said that"
    healed = sampler.generate(prompt, temperature=0, max_new_tokens=10)
    assert healed == sampler.generate(prompt, temperature=0, max_new_tokens=10, heal=False)
