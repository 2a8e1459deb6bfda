"""Runs of a million blanks, through which tiktoken's pattern cannot look, are ids like others."""

import pytest
from tokenizers import Tokenizer as Foreign

from tuillm.store.files import write_json
from tuillm.text import long_blanks
from tuillm.text.bulk_encoding import BulkEncoder
from tuillm.text.new_tokenizer import make_tokenizer

MILLION = 1_200_000


@pytest.fixture(scope="module")
def tokenizer(book_text):
    return make_tokenizer("bpe", [book_text + " " * 900 + "\n" * 900], 400)


@pytest.mark.parametrize(
    "text", [f"a{' ' * MILLION}word", "\n" * MILLION, "a" + "\u3000" * (MILLION // 3) + "\n b"]
)
def test_a_million_blanks_are_encoded(text, tokenizer):
    """They come back, alone and among others."""
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert BulkEncoder(tokenizer).encode([text, "b"]).ids.tolist() == ids + tokenizer.encode("b")


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\x85", " \n"])
@pytest.mark.parametrize("before", ["", "word", " ", "\x1c"])
@pytest.mark.parametrize("behind", ["", "word", "'s", "\x1c", "  ", "\n!"])
def test_they_are_taken_apart_where_no_piece_reaches_over(
    blank, before, behind, tokenizer, tmp_path, monkeypatch
):
    """With runs of five for long ones the ids are those of another library."""
    monkeypatch.setattr(long_blanks, "LONGEST_BLANKS", 5)
    write_json(tmp_path / "tokenizer.json", tokenizer.spec)
    theirs = Foreign.from_file(str(tmp_path / "tokenizer.json"))
    for count in (1, 4, 5, 6, 11, 33):
        text = before + blank * count + behind + blank * 9 + "end"
        assert len(long_blanks.long_blanks(text)) >= (count >= 10 or len(blank) > 1 < count)
        assert tokenizer.encode(text) == theirs.encode(text).ids


def test_all_long_runs_are_found():
    """Where they begin and end, whatever is around them."""
    size = long_blanks.LONGEST_BLANKS
    text = "a " * size + " " * size + "b" + "\n" * 3 * size + "c" + "\t" * (size // 2)
    first, second = 2 * size - 1, 3 * size + 1
    assert long_blanks.long_blanks(text) == [(first, 3 * size), (second, 6 * size + 1)]
