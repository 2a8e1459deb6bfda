"""The longest repeat is the one that looking at all passages finds."""

import random

import numpy as np
import pytest

from tuillm.text.corpus import Corpus
from tuillm.text.statistics import longest_repeat as module
from tuillm.text.statistics.exploration import explore
from tuillm.text.statistics.longest_repeat import PADDING, longest_repeat
from tuillm.text.statistics.repeat_process import RepeatSearch

GAP = 255


def ids_of(text):
    """Bytes as the search takes them."""
    return np.frombuffer(text + bytes(PADDING), np.uint8)


def brute_force(text):
    """The length of the longest passage that occurs twice and holds no GAP."""

    def occurs_twice(length):
        seen = set()
        for start in range(len(text) - length + 1):
            passage = text[start : start + length]
            if GAP not in passage:
                if passage in seen:
                    return True
                seen.add(passage)
        return False

    low, high = 0, max(len(text) - 1, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if occurs_twice(middle) else (low, middle - 1)
    return low


def some_bytes(rng):
    """Noise of few or many letters, with passages copied, runs of one letter, and gaps."""
    letters = rng.choice([b"a", b"ab", b"abcd", bytes(range(1, 200))])
    text = bytearray(rng.choices(letters, k=rng.choice([1, 2, 5, 10, 50, 300, 2000])))
    for _ in range(rng.randrange(6)):
        begin, to = rng.randrange(len(text)), rng.randrange(len(text))
        piece = text[begin : begin + rng.randrange(1, len(text) // 2 + 2)]
        text[to : to + len(piece)] = piece
    for _ in range(rng.choice([0, 0, 4])):
        begin = rng.randrange(len(text) + 1)
        text[begin : begin + rng.choice([0, 5])] = b"a" * rng.choice([20, 130, 150, 400])
    for _ in range(rng.choice([0, 0, 3])):
        text.insert(rng.randrange(len(text)), GAP)
    return bytes(text)


def check(text):
    """Compare with brute force, and look whether the passage stands at both places."""
    length, first, second = longest_repeat(ids_of(text), GAP if GAP in text else 0)
    assert length == brute_force(text)
    if length:
        assert first != second
        assert text[first : first + length] == text[second : second + length]


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_longest(seed):
    """On noise with copies, runs and gaps."""
    rng = random.Random(seed)
    for _ in range(8):
        check(some_bytes(rng))


def test_long_texts_without_long_repeats_are_taken_class_by_class(monkeypatch):
    """As 100 MB of noise are."""
    monkeypatch.setattr(module, "_CLASS", 500)
    monkeypatch.setattr(module, "_SMALL", 300)
    rng = random.Random(7)
    for letters in (b"ab", b"abcd", bytes(range(1, 200))):
        check(bytes(rng.choices(letters, k=4000)))


def thue_morse(size):
    """The sequence on which such hashes are known to agree for different passages."""
    return bytes(97 + (number.bit_count() & 1) for number in range(size))


def test_equal_hashes_of_different_passages_do_no_harm():
    """Passages are compared, not only their hashes."""
    check(thue_morse(4096) + b"x" + thue_morse(2048)[::-1])


def test_a_long_text_is_searched_in_another_process(monkeypatch):
    """With the same answer."""
    monkeypatch.setattr("tuillm.text.statistics.repeat_process._INLINE", 10)
    text = bytes(random.Random(1).choices(b"abcdefgh", k=5000)) * 2 + b"z"
    with RepeatSearch(ids_of(text), 0) as search:
        assert search.result(lambda stage, share: None) == (5000, 0, 5000)


def test_a_search_that_is_left_ends(monkeypatch):
    """Its process goes when nobody waits for it any more."""
    monkeypatch.setattr("tuillm.text.statistics.repeat_process._INLINE", 10)
    with RepeatSearch(ids_of(b"abc" * 100_000 + b"d"), 0) as search:
        process = search._process
    assert process.returncode is not None


def test_a_passage_lies_within_one_document():
    """And its places count the characters of all documents."""
    seen = explore(Corpus.of(("am Tag, ", "im Tag, ", "m"), "x")).repetition.longest
    assert (seen.text, seen.first, seen.second) == ("m Tag, ", 1, 9)
    apart = explore(Corpus.of(("xy", "zxyz"), "x")).repetition.longest
    assert (apart.text, apart.first, apart.second) == ("xy", 0, 3)
