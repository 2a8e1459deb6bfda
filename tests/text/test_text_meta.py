"""nanoGPT's list of characters, read without unpickling; pickle itself is the oracle."""

import pickle
import random

import pytest

from tuillm.errors import TuillmError
from tuillm.text.nanogpt_meta import read_characters


def meta(characters):
    return {
        "vocab_size": len(characters),
        "itos": dict(enumerate(characters)),
        "stoi": {character: id for id, character in enumerate(characters)},
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("size", [1, 65, 3000])
def test_every_protocol(tmp_path, protocol, size):
    """Whatever protocol it was written with, the characters come back in the order of ids."""
    points = [*range(32, 127), *range(0x400, 0x600), *range(0x4E00, 0x6000), 0x1F40B]
    characters = [chr(point) for point in random.Random(3).sample(points, size)]
    path = tmp_path / "meta.pkl"
    path.write_bytes(pickle.dumps(meta(characters), protocol))
    assert read_characters(path) == characters


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps([1]),
        pickle.dumps({}),
        pickle.dumps({"itos": {0: "ab"}}),
        pickle.dumps({"itos": {1: "a"}}),
        pickle.dumps({"itos": {0: "a", 1: "a"}}),
        pickle.dumps({"itos": {0: 7}}),
        pickle.dumps({"itos": {"0": "a"}}),
        pickle.dumps({"itos": 3}),
        pickle.dumps(range),
        pickle.dumps({"itos": {0: complex(1)}}),
        b"\x80\x04K\x01K\x02s.",
        b"(K\x01d.",
        b"h\x07.",
        b"\x80\x04.",
        pickle.dumps(meta("abc"))[:-20],
    ],
    ids=repr,
)
def test_anything_else_is_refused_in_one_line(tmp_path, content):
    """Damaged, of another shape, or wanting to call something: one line that names the file."""
    path = tmp_path / "meta.pkl"
    path.write_bytes(content)
    with pytest.raises(TuillmError) as caught:
        read_characters(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_random_bytes_never_do_more_than_fail(tmp_path):
    """Two thousand damaged files: each is read or refused, and nothing else happens."""
    rng, whole = random.Random(1), pickle.dumps(meta("abcdefgh"))
    path = tmp_path / "meta.pkl"
    for _ in range(2000):
        content = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            found = read_characters(path)
        except TuillmError:
            continue
        assert all(isinstance(each, str) and len(each) == 1 for each in found)
