"""What is counted of a text, against the plain way to count it."""

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from tuillm.config import build_train
from tuillm.text import tokenize
from tuillm.text.corpus import Corpus
from tuillm.text.statistics.blocks import line_blocks, sample
from tuillm.text.statistics.characters import count_characters, describe_characters
from tuillm.text.statistics.duplicates import documents_of
from tuillm.text.statistics.exploration import explore
from tuillm.text.statistics.languages import language_of
from tuillm.text.statistics.token_rates import measure_tokens
from tuillm.text.statistics.words import zipf_slope

KAZAKH = "Бұл қала өте үлкен және әдемі болды, оның тарихы да көп, бірақ ол туралы аз айтылған. "
RUSSIAN = "Это был очень большой и красивый город, но о нём мало что известно, как и о других. "


def corpus_of(*documents):
    """A corpus of these texts."""
    return replace(Corpus.of(documents, "some.txt"), notes=("a note",))


def some_text(seed, size=4000):
    """Words of a few letters of several scripts, with line ends."""
    rng = random.Random(seed)
    return "".join(rng.choices("aaaabcdeéßЖжқ漢𝔘 ' \n\t.,\ufffd", k=size))


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_a_counter(seed, monkeypatch):
    """Characters, words, lines and documents, whatever the blocks they come in."""
    monkeypatch.setattr("tuillm.text.statistics.blocks.BLOCK", 97)
    documents = [some_text(f"{seed} {number}", 900) for number in range(4)]
    seen = explore(corpus_of(*documents))
    text = "".join(documents)
    counted = {each.character: each.count for each in seen.characters.by_frequency}
    assert counted == Counter(text)
    words = Counter(
        word for each in documents for word in re.findall(r"\w+(?:['’]\w+)*", each.casefold())
    )
    assert {each.word: each.count for each in seen.words.by_frequency} == words
    assert seen.words.total == seen.size.words == words.total()
    ends = [each.count("\n") + (not each.endswith("\n")) for each in documents]
    assert seen.size.lines == sum(ends)
    assert seen.size.bytes == len(text.encode()) and seen.size.characters == len(text)
    lines = [line for each in documents for line in each.split("\n") if line.strip()]
    lines = [line for line in lines if line.encode().strip()]
    assert seen.repetition.lines.total == len(lines)
    assert seen.repetition.lines.repeated == len(lines) - len(set(lines))
    assert seen.notes == ("a note",)


def test_the_rarest_characters_are_found_where_they_stand():
    """Document, line and column, counted from 1, with what stands around them."""
    corpus = corpus_of("aaaa bbbb\n" * 3, "aaaa\nbb aXb\na" + "a\n" * 9)
    place = describe_characters(corpus, count_characters(corpus)).rarest[0]
    assert (place.character, place.document, place.line, place.column) == ("X", 2, 2, 5)
    assert (place.before, place.after, place.count) == ("bb a", "b", 1)


def test_scripts_are_shares_of_the_letters():
    """Signs and digits belong to no script."""
    corpus = corpus_of("abcd жж 12,; 漢 ")
    found = describe_characters(corpus, count_characters(corpus)).scripts
    assert {each.name: round(each.share * 7) for each in found} == {
        "Latin": 4,
        "Cyrillic": 2,
        "Han": 1,
    }


def test_lengths_and_copies_of_documents():
    """Shortest, median, longest; a histogram by powers of two; copies with their bytes."""
    lengths, copies = documents_of(corpus_of("ab", "abcé", "ab", "x" * 64, "ab"))
    assert (lengths.count, lengths.shortest, lengths.median, lengths.longest) == (5, 2, 2, 64)
    assert lengths.histogram == ((2, 3), (4, 1), (8, 0), (16, 0), (32, 0), (64, 1))
    assert (copies.total, copies.repeated, copies.repeated_bytes) == (5, 2, 4)


def test_blocks_end_with_a_line_and_lose_nothing(monkeypatch):
    """What is cut in blocks is the text; a document that ends without a line end gets one."""
    monkeypatch.setattr("tuillm.text.statistics.blocks.BLOCK", 50)
    text = "\n".join("word " * (number % 30) for number in range(200))
    blocks = list(line_blocks(corpus_of(text, text)))
    assert "".join(blocks) == f"{text}\n{text}\n" and len(blocks) > 5
    assert all(block.endswith("\n") for block in blocks)
    pieces = sample(blocks, 2 * len(text), 1000, 50)
    assert all(piece in text + "\n" + text + "\n" for piece in pieces) and len(pieces) > 5


@pytest.mark.parametrize(
    "text, name",
    [
        (KAZAKH * 3, "Kazakh"),
        (RUSSIAN * 3, "Russian"),
        ("It was the best of times, and he had all of it in the house. " * 3, "English"),
        ("Das ist nicht der Mann, den ich mit der Frau auf dem Markt sah. " * 3, "German"),
        ("Il n'est pas dans la maison, mais elle est avec les enfants. " * 3, "French"),
        ("def f(x): return x + 1\nclass A: pass\nprint(f(3))\n" * 9, ""),
        ("lorem ipsum dolor sit amet consectetur adipiscing elit sed eiusmod tempor " * 3, ""),
        ("12 34 56 78\n" * 30, ""),
        ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 3, "Japanese"),
        ("", ""),
    ],
)
def test_a_language_is_named_where_it_is_sure(text, name):
    """And left unsaid elsewhere."""
    assert language_of(text) == name


def test_zipf_slope():
    """A text that follows the law has the slope of the law; a short one has none."""
    assert zipf_slope([1_000_000 // rank for rank in range(1, 1200)]) == pytest.approx(-1, abs=0.01)
    assert zipf_slope([5] * 500) == pytest.approx(0)
    assert zipf_slope([3, 2, 1]) is None


def test_the_rates_are_those_of_what_training_measures(gpt2_vocabulary, book_text):
    """Of the part that is learned, for the whole text; no network is asked for GPT-2's."""
    corpus, config = corpus_of(book_text), build_train({"preset": "tiny"})
    found, choice = measure_tokens(corpus, config, lambda stage, share: None)
    files = tokenize(corpus, config)
    assert choice.figures == files.figures
    assert [rate.tokenizer for rate in found.rates] == [each.name for each in files.figures]
    assert found.rates[-1].tokenizer == "gpt2" and found.rates[-1].entries == 50_257
    (auto,) = [rate for rate in found.rates if rate.auto]
    assert auto.entries == files.tokenizer.n_vocab
    learned, held_out = len(files.train) - 1, len(files.val)
    assert auto.tokens == pytest.approx(learned + held_out, rel=0.03)
    assert found.reason == choice.reason != ""


def test_what_tick_raises_ends_the_work(book_text):
    """The search for repeats, too."""

    class Enough(Exception):
        pass

    def tick(stage, share):
        if stage == "looking for repeats":
            raise Enough

    with pytest.raises(Enough):
        explore(corpus_of(book_text), tick)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "aa",
        "\n\n\n",
        " \n",
        "\ud800 x \udfff\n" * 5,
        "a\x00b\x1b[31m\x9b\n",
        "\u0301\u0301 é",
        bytes(range(256)).decode("latin-1") * 3,
        random.Random(3).randbytes(20_000).decode("utf-8", "replace"),
    ],
    ids=ascii,
)
def test_strange_texts_are_counted(text):
    """Nothing is too short or too odd."""
    corpus = corpus_of(text)  # in which halves of pairs are U+FFFD
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    seen = explore(corpus)
    assert seen.size.characters == len(text)
    assert seen.characters.distinct == len(set(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["a" * 4_000_000, "ab\n" * 1_000_000, "".join(f"{n}\n" for n in range(1_000_000))],
    ids=["one letter", "one line", "numbers"],
)
def test_long_texts_of_little_are_counted(text):
    """One letter 4 million times, a million short lines: all the same or all different."""
    seen = explore(corpus_of(text))
    assert seen.size.lines == text.count("\n") + (not text.endswith("\n"))
    if len(set(text)) < 4:
        assert seen.repetition.longest.length == len(text) - (3 if "\n" in text else 1)
