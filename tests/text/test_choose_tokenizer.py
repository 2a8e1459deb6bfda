"""What a vocabulary is learned from: a part of a large text, less where all words are new."""

import random

import pytest

from tuillm.config import TrainConfig
from tuillm.text import choose_tokenizer
from tuillm.text.choose_tokenizer import tokenizer_for
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import unwatched
from tuillm.text.split import split_store


@pytest.fixture
def learned(monkeypatch):
    """A function: a text to those it is learned from, and to the notes."""
    monkeypatch.setattr(choose_tokenizer, "_PIECE", 1000)
    monkeypatch.setattr(choose_tokenizer, "_DIFFERENT", 20_000)
    samples = []

    def watched(kind, documents, *rest, **named):
        samples.append(documents)
        return make_tokenizer(kind, documents, *rest, **named)

    monkeypatch.setattr(choose_tokenizer, "make_tokenizer", watched)

    def learn(text):
        corpus, config = Corpus.of([text]), TrainConfig(max_steps=1, tokenizer="bpe")
        _, notes = tokenizer_for(corpus, config, split_store(corpus.store, 0.0), unwatched)
        return samples[-1], notes

    return learn


def test_of_words_that_recur_nothing_is_left_out(learned):
    """However long the text: its different words are few."""
    text = "the sea opens and the salt road goes down to it. " * 4000
    assert learned(text) == ([text], ())


@pytest.mark.parametrize("kind", ["no blanks", "one run"])
def test_of_words_that_are_all_new_a_part_is_learned(learned, kind):
    """As of languages without blanks: pieces from all over the text, as much as was said."""
    draw = random.Random(1)
    end = "，" if kind == "no blanks" else ""
    text = "".join(
        "".join(draw.choices("天地玄黄宇宙洪荒日月盈昃辰宿列张", k=draw.randint(9, 20))) + end
        for _ in range(20_000)
    )
    sample, notes = learned(text)
    size = sum(len(piece.encode()) for piece in sample)
    assert 20_000 <= size < 40_000
    assert notes[0].startswith("the vocabulary is learned from ")
    places = [text.index(piece) for piece in sample]
    assert places == sorted(places) and places[-1] > len(text) // 2
