"""Which tokenizer a text gets: measured on it, told in a line, and with its figures."""

import random

import numpy as np
import pytest

from tuillm.config import build_train
from tuillm.text import Corpus, tokenize
from tuillm.text.choose_tokenizer import choose_tokenizer
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import unwatched
from tuillm.text.split import split_store
from tuillm.text.tokenizer_figures import measure, shortened


def chosen(text, **typed):
    config = build_train({"preset": "tiny"} | typed)
    corpus = Corpus.of([text])
    split = split_store(corpus.store, config.val_fraction, config.split)
    return choose_tokenizer(corpus, config, split.train, unwatched)


def of_words(count, length, words=500):
    """A text of invented words, some of which are frequent, as in a language."""
    draw = random.Random(1)
    letters = "aeioukmntrsl"
    known = ["".join(draw.choices(letters, k=length)) for _ in range(words)]
    return " ".join(draw.choices(known, [1 / (n + 1) for n in range(words)], k=count))


def test_a_vocabulary_is_as_large_as_the_text_can_teach(book_text):
    """Ten times the text has room for more pieces; of a short one single characters are learned."""
    entries = [chosen(of_words(count, 7)).vocab_size for count in (300, 4000, 40_000)]
    assert entries == sorted(entries) and entries[0] == 0 and len(set(entries)) == 3
    assert chosen(book_text[:4000]).kind == "char"
    assert chosen(book_text).kind == "bpe"


def test_a_small_model_gets_no_more_entries_than_it_has_parameters_for():
    """The pieces of a bpe come to less than the blocks."""
    text = of_words(40_000, 7)
    small = chosen(text, n_layer=1, n_embd=32, n_head=1)
    assert small.vocab_size <= 12 * 32 < chosen(text).vocab_size


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"vocab_size": 300}, ("bpe", 300)),
        ({"tokenizer": "bpe", "vocab_size": 700}, ("bpe", 700)),
        ({"tokenizer": "char"}, ("char", 0)),
        ({"tokenizer": "gpt2"}, ("gpt2", 0)),
    ],
)
def test_what_was_typed_is_obeyed_and_nothing_measured(typed, expected):
    choice = chosen("a short text", **typed)
    assert (choice.kind, choice.vocab_size) == expected
    assert choice.figures == () and choice.reason == ""


def test_bpe_without_a_size_gets_one(book_text):
    """Also of a text that is too short for it: it was asked for."""
    assert chosen(book_text[:2000], tokenizer="bpe").kind == "bpe"


def test_the_figures_are_those_of_the_tokenizers(book_text):
    """Counted here with the library's own encoding of the whole text."""
    choice = chosen(book_text, val_fraction=0.0)
    size = len(book_text.encode())
    for each in choice.figures:
        made = make_tokenizer(each.kind, [book_text], each.entries)
        ids = np.array(made.encode(book_text))
        assert each.entries == made.n_vocab
        assert each.tokens == len(ids)
        assert each.bytes_per_token == pytest.approx(size / len(ids))
        if each.kind == "bpe":
            counts = np.bincount(ids, minlength=each.entries)[256 : each.entries - 1]
            assert each.occurrences == round(float(np.median(counts)))
    assert [each.chosen for each in choice.figures].count(True) == 1


def test_a_small_vocabulary_is_the_beginning_of_a_large_one(book_text):
    large = make_tokenizer("bpe", [book_text], 1024)
    small = make_tokenizer("bpe", [book_text], 400)
    assert shortened(large, 400).spec["model"] == small.spec["model"]
    assert shortened(large, 400).encode(book_text) == small.encode(book_text)


def test_gpt2_is_measured_where_it_is_at_hand(book_text, gpt2_vocabulary):
    """A book is too short to teach it."""
    figures = chosen(book_text).figures
    assert [each.kind for each in figures][-1] == "gpt2" and not figures[-1].chosen
    made = make_tokenizer("gpt2", ())
    assert figures[-1] == measure("gpt2", made, [book_text[: int(len(book_text) * 0.9)]], 27_000)


def test_the_reason_is_a_line_of_the_notes_and_is_kept(book_text):
    """A second run finds tokens, reason and figures in the cache."""
    config = build_train({"preset": "tiny"})
    first = tokenize(Corpus.of([book_text]), config)
    again = tokenize(Corpus.of([book_text]), config)
    assert first.notes == again.notes and first.figures == again.figures != ()
    (reason,) = [note for note in first.notes if note.startswith("tokenizer: ")]
    assert "\n" not in reason and "occur" in reason
    assert tokenize(Corpus.of([book_text]), config, first.tokenizer).figures == ()
