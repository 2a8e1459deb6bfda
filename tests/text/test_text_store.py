"""Documents in a store: what goes in comes out, in memory as from the cache."""

import random

import numpy as np
import pytest

from tuillm.store.paths import cache_dir
from tuillm.text import text_store
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.text_store import StoreWriter, open_store
from tuillm.text.tokenizer_files import load_tokenizer

TEXTS = ["The sea.\n", "Қазақ тілі, ", "鲸鱼。海洋，", "\u3000\u00a0 ", "🐋", "x" * 50, " \n\n"]


@pytest.fixture(params=["memory", "cache"])
def store_of(request, home, monkeypatch):
    """A function that stores documents; in the cache as soon as there is a byte."""
    if request.param == "cache":
        monkeypatch.setattr(text_store, "_IN_MEMORY", 0)

    def make(documents, learned=None, key="key"):
        with StoreWriter(key) as writer:
            for index, pieces in enumerate(documents):
                writer.add(pieces, learned[index] if learned else None)
            return writer.finish({"label": "a"})

    return make


@pytest.mark.parametrize("seed", range(10))
def test_what_goes_in_comes_out(store_of, seed):
    """Documents in pieces are whole again, with their characters and the same hash."""
    draw = random.Random(seed)
    documents = [draw.choices(TEXTS, k=draw.randint(1, 9)) for _ in range(draw.randint(1, 9))]
    store, whole = store_of(documents), ["".join(pieces) for pieces in documents]
    assert [*store.documents()] == whole
    assert store.characters == sum(map(len, whole)) == store.count(0, store.bytes)
    again = store_of([[text] for text in whole], key="other")
    assert again.sha256 == store.sha256
    assert store_of([["".join(whole)], ["more"]], key="third").sha256 != store.sha256
    text = "".join(whole)
    for number in draw.sample(range(len(text)), min(len(text), 20)):
        assert store.byte_of(number) == len(text[:number].encode())
    assert store.byte_of(len(text)) == store.bytes


def test_halves_of_pairs_become_the_replacement(store_of):
    """What no encoding knows is U+FFFD; a document without text is none."""
    store = store_of([["a\ud800b"], [""], ["", ""], ["c"]])
    assert [*store.documents()] == ["a\ufffdb", "c"]


@pytest.mark.parametrize("kind", ["char", "bpe", "gpt2"])
@pytest.mark.parametrize("seed", range(8))
def test_cuts_change_no_token(store_of, kind, seed, shared_data):
    """Part by part a document comes to the ids of the whole."""
    draw = random.Random(seed)
    text = "".join(draw.choices([*TEXTS, " a", "b ", "\t", "\u2003", "the"], k=400))
    if kind == "gpt2":
        tokenizer = load_tokenizer(shared_data / "gpt2-bpe")
    else:
        tokenizer = make_tokenizer(kind, [text], 400)
    store = store_of([[text]])
    parts = [store.text(*cut) for cut in store.cuts(0, store.bytes, 64)]
    assert "".join(parts) == text and len(parts) > 5
    assert [id for part in parts for id in tokenizer.encode(part)] == tokenizer.encode(text)


def test_a_run_without_a_blank_stays_whole(store_of):
    """However long: nothing says where it may be cut."""
    store = store_of([["x" * 10_000 + " end"]])
    assert [b - a for a, b in store.cuts(0, store.bytes, 100)] == [10_000, 4]


def test_learned_ranges(store_of):
    """They are those of each document, and of a document without any that is all of it."""
    store = store_of([["abc"], ["defg"], ["hi"]], [None, [(1, 2), (3, 4)], [(0, 2)]])
    assert store.learned.tolist() == [[0, 4, 6, 7], [3, 5, 7, 9]]
    inside = store.is_learned(np.arange(store.bytes), np.arange(store.bytes) + 1)
    assert "".join(c for c, yes in zip("abcdefghi", inside, strict=True) if yes) == "abceghi"
    plain = store_of([["abc"], ["defg"], ["hi"]], key="plain")
    assert plain.learned is None and plain.sha256 != store.sha256


def test_the_cache_knows_it_again(home, monkeypatch):
    """With what was noted; a damaged one is none, and old ones go."""
    monkeypatch.setattr(text_store, "_IN_MEMORY", 2)
    for number in range(7):
        with StoreWriter(f"key{number}") as writer:
            writer.add(["some text"])
            writer.finish({"label": number})
    assert len(list((cache_dir() / "corpora").iterdir())) == text_store._KEEP_CACHED
    store, about = open_store("key6")
    assert about == {"label": 6} and store.text(0, 4) == "some"
    assert open_store("key0") is None
    (cache_dir() / "corpora" / "key6" / "text").write_text("torn")
    assert open_store("key6") is None


def test_a_writer_that_is_given_up_leaves_nothing(home, monkeypatch):
    """Ctrl-C in the middle of a large corpus: no half-made store."""
    monkeypatch.setattr(text_store, "_IN_MEMORY", 2)
    with pytest.raises(KeyboardInterrupt), StoreWriter("key") as writer:
        writer.add(["some text"])
        raise KeyboardInterrupt
    assert not list((cache_dir() / "corpora").iterdir())
