"""Ids to text as they come: whole characters, and never a part of a stop string."""

import random

import pytest

from tuillm.generation.detokenizer import TextStream
from tuillm.text.new_tokenizer import make_tokenizer

LETTERS = "ab\né漢😀"


@pytest.fixture(scope="module")
def byte_tokenizer():
    """Knows a and b; every other character falls apart into its bytes."""
    return make_tokenizer("char", ["ab\n"])


@pytest.fixture(scope="module")
def piece_tokenizer():
    """Byte pieces of several characters, some of which begin inside a character."""
    return make_tokenizer("bpe", ["aab\nabb é漢😀aé漢b漢漢b a😀😀b\n" * 40], 300)


def feed(tokenizer, ids, stop):
    """Push ids until a stop string; return the pieces shown and the stream."""
    stream, shown = TextStream(tokenizer, tuple(stop)), []
    for token in ids:
        shown.append(stream.push(token))
        if stream.stopped:
            break
    else:
        shown.append(stream.finish())
    return shown, stream


def expected_text(tokenizer, ids, stop):
    """The text up to the first stop string that the growing text contains."""
    whole = ""
    for end in range(len(ids) + 1):
        content = b"".join(map(tokenizer.token_bytes, ids[:end]))
        whole = content.decode("utf-8", "ignore")
        places = [whole.find(text) for text in stop if text in whole]
        if places:
            return whole[: min(places)], True
    return whole, False


@pytest.mark.parametrize("kind", ["byte_tokenizer", "piece_tokenizer"])
@pytest.mark.parametrize("seed", range(8))
def test_stop_strings_never_leak(request, kind, seed):
    """However a text is cut into tokens, what is shown ends right before the first stop string."""
    tokenizer, pick = request.getfixturevalue(kind), random.Random(seed)
    stopped = 0
    for _ in range(60):
        text = "".join(pick.choices(LETTERS, k=pick.randint(0, 40)))
        stop = [
            "".join(pick.choices(LETTERS, k=pick.randint(1, 4))) for _ in range(pick.randint(1, 3))
        ]
        cuts = sorted(pick.choices(range(len(text) + 1), k=6))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        ids = [token for piece in pieces for token in tokenizer.encode(piece)]
        shown, stream = feed(tokenizer, ids, stop)
        expected, found = expected_text(tokenizer, ids, stop)
        assert ("".join(shown), stream.stopped) == (expected, found)
        for end in range(len(shown)):
            assert expected.startswith("".join(shown[:end]))
        stopped += found
    assert 10 < stopped < 60


def test_text_held_back_is_released_at_the_end(byte_tokenizer):
    """What looked like the beginning of a stop string is shown when the reply ends."""
    stream = TextStream(byte_tokenizer, ("baa!",))
    shown = [stream.push(token) for token in byte_tokenizer.encode("abaabaa")]
    assert ("".join(shown), stream.finish(), stream.stopped) == ("abaa", "baa", False)


@pytest.mark.parametrize("text", ["é", "naïve 漢字", "😀😀", "👩‍👩‍👧 e\u0301"])
def test_characters_arrive_whole(byte_tokenizer, text):
    """A character split over byte tokens is shown once, whole, and never as U+FFFD."""
    ids = byte_tokenizer.encode(text)
    assert len(ids) > len(text)
    shown, _ = feed(byte_tokenizer, ids, ())
    assert "".join(shown) == text
    assert [piece for piece in shown if piece] == list(text)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_character_cut_off_at_the_end(byte_tokenizer, cut):
    """Bytes of an unfinished character at the end of a reply become one U+FFFD."""
    ids = byte_tokenizer.encode("a😀")[: 1 + cut]
    shown, _ = feed(byte_tokenizer, ids, ())
    assert "".join(shown) == "a\ufffd"


def test_stop_string_that_only_the_end_completes(byte_tokenizer):
    """A stop string that appears when the last bytes are flushed ends the text as well."""
    ids = byte_tokenizer.encode("ab😀")[:3]
    shown, stream = feed(byte_tokenizer, ids, ("\ufffd",))
    assert "".join(shown) == "ab" and stream.stopped
