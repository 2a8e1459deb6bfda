"""The corpus on disk: split exactly, tokenized once, told what could not be held out."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.store.paths import cache_dir
from tuillm.text import encode_spans, text_store, tokens
from tuillm.text.corpus import Corpus, read_corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.split import split_store
from tuillm.text.tokens import tokenize


def settings(**typed):
    """A config with what a test cares about."""
    return TrainConfig(max_steps=1, **typed)


def corpus_of(*documents):
    """A corpus of texts that need no file."""
    return Corpus.of(documents, "book.txt")


def split(corpus, fraction):
    """The texts of both parts."""
    parts = split_store(corpus.store, fraction)
    texts = [
        [corpus.store.text(span.begin, span.end) for span in spans]
        for spans in (parts.train, parts.val)
    ]
    return texts[0], texts[1]


def entries():
    """The token cache: the inode and times of each file, by folder."""
    return {
        folder.name: sorted(
            (file.name, file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.iterdir()
        )
        for folder in (cache_dir() / "tokens").iterdir()
    }


def learned(files):
    """The text that is learned: all between the end-of-text ids."""
    return files.tokenizer.decode([id for id in files.train.tolist() if id != files.tokenizer.eot])


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize(
    "documents", [("a" * 101,), ("ab", "қазақ тілі", "🐋" * 7), ("x", "y" * 9, "z"), ("ab" * 500,)]
)
def test_the_split_is_exact(documents, fraction):
    """Both parts together are the corpus, cut after the first part of all characters."""
    train, val = split(corpus_of(*documents), fraction)
    whole = "".join(documents)
    assert "".join(train) + "".join(val) == whole
    assert len("".join(train)) == int((1 - fraction) * len(whole))
    assert "" not in train + val


def test_the_default_holds_out_the_last_tenth(book):
    """Without a word the model learns the first nine tenths of the characters."""
    corpus = read_corpus((str(book),))
    train, val = split(corpus, settings().val_fraction)
    cut = int(0.9 * corpus.characters)
    assert (train, val) == ([corpus.text[:cut]], [corpus.text[cut:]])


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_the_token_files_are_the_text(book, kind):
    """Decoding both arrays gives the book back; the bytes measured are those held out."""
    corpus = read_corpus((str(book),))
    files = tokenize(corpus, settings(tokenizer=kind))
    cut = int(0.9 * corpus.characters)
    assert files.tokenizer.kind == kind
    assert learned(files) == corpus.text[:cut]
    assert files.tokenizer.decode(files.val.tolist()) == corpus.text[cut:]
    assert files.val_bytes == len(corpus.text[cut:].encode())
    assert [note for note in files.notes if not note.startswith("tokenizer: ")] == []
    assert (files.train.dtype, files.train.ndim) == (np.uint16, 1)
    assert isinstance(files.train, np.memmap)


def test_gpt2_tokens_are_the_text(book, gpt2_vocabulary):
    """GPT-2's vocabulary goes the same way through the cache."""
    corpus = read_corpus((str(book),))
    files = tokenize(corpus, settings(tokenizer="gpt2"))
    assert files.tokenizer.n_vocab == 50_257
    assert learned(files) + files.tokenizer.decode(files.val.tolist()) == corpus.text


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_the_same_contents_are_tokenized_once(book, tmp_path, kind):
    """A second time, and under another name, the files in the cache stay as they are."""
    first = tokenize(read_corpus((str(book),)), settings(tokenizer=kind))
    before = entries()
    copy = tmp_path / "renamed.txt"
    copy.write_bytes(book.read_bytes())
    again = tokenize(read_corpus((str(copy),)), settings(tokenizer=kind))
    assert entries() == before
    assert np.array_equal(first.train, again.train)
    assert first.tokenizer.spec == again.tokenizer.spec


@pytest.mark.parametrize(
    "other", [dict(tokenizer="char"), dict(vocab_size=300), dict(val_fraction=0.2)]
)
def test_other_settings_make_other_files(book, other):
    """What changes the tokens is not taken for the same; what does not, is."""
    corpus = read_corpus((str(book),))
    tokenize(corpus, settings(tokenizer="bpe"))
    tokenize(corpus, settings(tokenizer="bpe", n_layer=1, seed=3))
    assert len(entries()) == 1
    tokenize(corpus, settings(**{"tokenizer": "bpe"} | other))
    assert len(entries()) == 2


def test_a_given_tokenizer_makes_the_tokens(book):
    """The ids are those of the tokenizer handed in; two of one kind are told apart."""
    corpus = read_corpus((str(book),))
    tokenize(corpus, settings(tokenizer="bpe", vocab_size=300))
    for text in (corpus.text, corpus.text[:9000]):
        given = make_tokenizer("bpe", [text], 300)
        for _ in range(2):
            files = tokenize(corpus, settings(), given)
            assert files.tokenizer is given
            ids = [*files.train.tolist(), *files.val.tolist()]
            cut = int(0.9 * corpus.characters)
            assert ids == [
                given.eot,
                *given.encode(corpus.text[:cut]),
                *given.encode(corpus.text[cut:]),
            ]
    assert len(entries()) == 3


def test_a_given_tokenizer_is_of_the_kind_asked_for(book):
    """A kind that was asked for and is not the given one's is refused by name."""
    corpus, given = read_corpus((str(book),)), make_tokenizer("char", ["abc"])
    tokenize(corpus, settings(tokenizer="char", init_from="old"), given)
    with pytest.raises(UsageError, match="'bpe': the model 'old' has 'char'"):
        tokenize(corpus, settings(tokenizer="bpe", init_from="old"), given)


def test_other_contents_make_other_files(book):
    """One changed letter is another corpus."""
    text = read_corpus((str(book),)).text
    for last in "xy":
        tokenize(corpus_of(text + last), settings(tokenizer="char"))
    assert len(entries()) == 2


def test_bpe_learns_nothing_from_what_is_held_out(book_text):
    """Two books that differ only in the held-out part give the same pieces."""
    cut = int(0.9 * len(book_text))
    other = book_text[:cut] + ("zyzzyva " * len(book_text))[: len(book_text) - cut]
    made = [tokenize(corpus_of(text), settings(tokenizer="bpe")) for text in (book_text, other)]
    assert made[0].tokenizer.spec == made[1].tokenizer.spec
    assert not np.array_equal(made[0].val, made[1].val)


def test_holding_out_nothing_is_told(book):
    """With val_fraction 0 losses are of the training text, and a note says so."""
    corpus = read_corpus((str(book),))
    files = tokenize(corpus, settings(val_fraction=0))
    assert files.val is files.train
    assert files.val_bytes == corpus.bytes
    assert "nothing is held out" in files.notes[-1]


def test_a_text_too_short_to_hold_out_is_told():
    """One token cannot be measured on: losses are of the training text, and a note says so."""
    files = tokenize(corpus_of("hello"), settings())
    assert learned(files) == "hell"
    assert files.val is files.train
    assert files.val_bytes == 4
    assert "too short to hold out" in files.notes[-1]


def test_a_text_too_short_to_learn_from_is_refused():
    """With a single token there is no next token to predict; nothing is left in the cache."""
    with pytest.raises(TuillmError, match="book.txt is too short to learn from"):
        tokenize(corpus_of("ab"), settings())
    assert entries() == {}


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_each_of_several_documents_has_an_end(kind):
    """Before the first document and after each stands one end-of-text id, also between two."""
    documents = ("first text\n", f"second {'<|endoftext|>'} text", "үшінші мәтін")
    files = tokenize(corpus_of(*documents), settings(tokenizer=kind, val_fraction=0))
    ends = np.flatnonzero(files.train == files.tokenizer.eot)
    assert len(ends) == 4
    first, *parts, last = np.split(np.asarray(files.train), ends + 1)
    assert tuple(files.tokenizer.decode(part[:-1].tolist()) for part in parts) == documents
    assert len(first) == 1 and len(last) == 0


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_a_single_document_begins_and_ends(book, fraction):
    """One book begins behind an end of text too, and ends with one where its end is learned.

    Among what is held out there is none: losses are of the text alone.
    """
    files = tokenize(read_corpus((str(book),)), settings(val_fraction=fraction))
    ends = np.flatnonzero(files.train == files.tokenizer.eot).tolist()
    assert ends == ([0] if fraction else [0, len(files.train) - 1])
    assert fraction == 0 or files.tokenizer.eot not in files.val


def test_old_entries_are_forgotten():
    """The cache keeps its 16 newest entries and makes the others again when asked."""
    texts = [f"text number {number:02}" for number in range(18)]
    folders = []
    for age, text in enumerate(texts):
        known = set(entries()) if folders else set()
        tokenize(corpus_of(text), settings(tokenizer="char"))
        folders += set(entries()) - known
        os.utime(cache_dir() / "tokens" / folders[-1], (1000 + age, 1000 + age))
    assert set(entries()) == set(folders[2:])
    again = tokenize(corpus_of(texts[0]), settings(tokenizer="char"))
    assert learned(again) == texts[0][:12]
    assert len(entries()) == 16


def test_a_disk_that_refuses_is_one_clear_error(book):
    """When the token files do not fit, the disk's own words are told and no half entry stays."""
    code = """
import resource, sys
from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.text import read_corpus, tokenize
corpus = read_corpus((sys.argv[1],))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    tokenize(corpus, TrainConfig(max_steps=1, tokenizer='char'))
except TuillmError as error:
    print(error)
"""
    told = subprocess.run(
        [sys.executable, "-c", code, str(book)],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.strip()
    assert told.startswith("cannot write ") and told.endswith(": File too large")
    assert entries() == {}


def test_a_text_is_read_without_a_cache_where_there_can_be_none(book, tmp_path, monkeypatch):
    """Its tokens are the same; they lie in a folder that ends with the process."""
    corpus = read_corpus((str(book),))
    usual = tokenize(corpus, settings(tokenizer="char"))
    monkeypatch.setenv("TUILLM_HOME", str(book / "home"))
    found = tokenize(corpus, settings(tokenizer="char"))
    assert found.train.tolist() == usual.train.tolist()
    assert found.val_bytes == usual.val_bytes


def test_a_damaged_cache_is_made_again(home, book):
    """Token files that were emptied are no reason to fail: they can be made from the text."""
    corpus = read_corpus((str(book),))
    before = tokenize(corpus, TrainConfig(corpus=str(book), max_steps=1)).train.tolist()
    for file in (cache_dir() / "tokens").glob("*/*"):
        file.write_bytes(b"")
    assert tokenize(corpus, TrainConfig(corpus=str(book), max_steps=1)).train.tolist() == before


def test_a_run_without_a_words_end_has_a_bound_for_pieces(monkeypatch):
    """It is refused in a line; for characters it is cut, and comes out whole."""
    monkeypatch.setattr(text_store, "PART", 100)
    monkeypatch.setattr(tokens, "_LONGEST_RUN", 1_000)
    monkeypatch.setattr(encode_spans, "_BATCH", 100)
    text = "қазақ" * 300
    with pytest.raises(TuillmError, match="has a run of .* in which no word ends") as refused:
        tokenize(corpus_of("before " * 90 + text), settings(tokenizer="bpe"))
    assert "--tokenizer char" in refused.value.hint
    tokenize(corpus_of("before " * 900), settings(tokenizer="bpe"))
    made = tokenize(corpus_of(text), settings(tokenizer="char", val_fraction=0.0))
    assert made.tokenizer.decode(made.train[1:-1].tolist()) == text


def test_too_many_characters_are_no_vocabulary():
    """All of Unicode would be a million rows of a model; its bytes are none."""
    text = "".join(map(chr, range(0x10000, 0x21000)))
    with pytest.raises(TuillmError, match="more than 65,536 different characters") as refused:
        tokenize(corpus_of(text), settings(tokenizer="char"))
    assert "bpe" in refused.value.hint
