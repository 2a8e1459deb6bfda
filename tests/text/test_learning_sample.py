"""What a vocabulary is learned from: a part of a large text, less where all words are new."""

import random

import pytest

from tuillm.text.corpus import Corpus
from tuillm.text.learning_sample import learning_sample
from tuillm.text.split import split_store


@pytest.fixture
def learned(monkeypatch):
    """A function: a text to the parts of it that are learned from, and how many bytes they are."""
    monkeypatch.setattr("tuillm.text.learning_sample._PIECE", 1000)
    monkeypatch.setattr("tuillm.text.learning_sample._DIFFERENT", 20_000)

    def learn(text):
        corpus = Corpus.of([text])
        return learning_sample(corpus, split_store(corpus.store, 0.0).train, 1 << 25)

    return learn


def test_of_words_that_recur_nothing_is_left_out(learned):
    """However long the text: its different words are few."""
    text = "the sea opens and the salt road goes down to it. " * 4000
    assert learned(text) == ([text], 0)


@pytest.mark.parametrize("kind", ["no blanks", "one run"])
def test_of_words_that_are_all_new_a_part_is_learned(learned, kind):
    """As of languages without blanks: pieces from all over the text, as much as was said."""
    draw = random.Random(1)
    end = "，" if kind == "no blanks" else ""
    text = "".join(
        "".join(draw.choices("天地玄黄宇宙洪荒日月盈昃辰宿列张", k=draw.randint(9, 20))) + end
        for _ in range(20_000)
    )
    sample, told = learned(text)
    size = sum(len(piece.encode()) for piece in sample)
    assert 20_000 <= size < 40_000
    assert told == size
    places = [text.index(piece) for piece in sample]
    assert places == sorted(places) and places[-1] > len(text) // 2
