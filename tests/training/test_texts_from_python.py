"""Texts that a program has itself: `texts=`, `tuillm.read_corpus`, `tuillm.explore`."""

import gc
import json
import os
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
from training.test_worker_process import no_worker_left, wait_for_end  # noqa: F401

import tuillm
from tuillm import Trainer
from tuillm.errors import DiskError, TuillmError, UsageError
from tuillm.store.paths import cache_dir
from tuillm.store.registry import list_models
from tuillm.store.run_folder import get_run
from tuillm.text.corpus import read_corpus
from tuillm.text.training_text import corpus_of
from tuillm.training.forecast.process import forecast
from tuillm.training.resume import resume

QUICK: dict[str, Any] = dict(preset="nano", max_steps=2, tokenizer="char", sample_tokens=0)
LETTERS = [f"Letter {n}.\nThe sea is {n} fathoms deep, and nobody minds." for n in range(30)]
PAIRS = [{"question": f"What is {n} and 1?", "answer": str(n + 1)} for n in range(30)]


def kept_files():
    """What lies where texts are kept, unfinished files included."""
    root = cache_dir() / "pipes"
    return sorted(path.name for path in root.rglob("*") if path.is_file()) if root.exists() else []


def test_a_run_of_strings_is_like_one_of_a_file(tmp_path):
    """A generator is read once; what is learned, and found again, is what a table would give."""
    table = tmp_path / "letters.jsonl"
    table.write_text("".join(json.dumps({"text": letter}) + "\n" for letter in LETTERS))
    model = Trainer(texts=(letter for letter in LETTERS), **QUICK).run(quiet=True)
    assert model.card.corpus_sha256 == tuillm.read_corpus(table).sha256
    assert corpus_of(model).corpus.documents == tuple(LETTERS)
    (source,) = get_run(model.card.run).config.corpus
    assert os.path.isabs(source) and kept_files() == ["texts.jsonl"]
    assert read_corpus((source,)).documents == tuple(LETTERS)


@pytest.mark.slow
def test_a_run_of_strings_is_taken_up_again_and_foreseen():
    """In other processes, which know nothing of the iterable."""
    trainer = Trainer(texts=iter(LETTERS), **QUICK)
    assert [known.parameters for known in forecast(trainer.config)][-1]
    trainer.run(quiet=True)
    run = get_run("texts-1")
    assert resume(run, extend=2) == 2
    assert wait_for_end(run).step == 4


def test_strings_are_documents_as_they_are():
    """Whatever stands in them: line ends, JSON, halves of surrogate pairs, other alphabets."""
    texts = ['{"text": "no"}', "a\r\nb\x00\u2028c", "caf\u00e9 \U0001f600", "  "]
    corpus = tuillm.read_corpus(texts=[*texts, "half \ud83d pair"])
    assert corpus.documents == (*texts[:3], "half \ufffd pair")
    assert (corpus.label, corpus.notes) == ("texts.jsonl", ())


def test_settings_of_reading_hold_for_strings():
    """What one asks for is not passed over; encodings are no matter."""
    lines = tuillm.read_corpus(texts=["one\ntwo", "three"], documents="line", encoding="latin-1")
    assert lines.documents == ("one", "two", "three")
    assert tuillm.read_corpus(texts=["\u00e9", "b"], encoding="latin-1").text == "\u00e9b"
    assert tuillm.read_corpus(texts=LETTERS, limit=2, as_text=True).documents == tuple(LETTERS[:2])


def test_dicts_are_records():
    """Fields and format are guessed as of a table, or named; values may be numpy's."""
    corpus = tuillm.read_corpus(texts=PAIRS)
    assert corpus.template and corpus.notes == ("30 questions with answers",)
    rows = ({"id": np.int64(n), "body": "b" * 9, "of": np.zeros(2)} for n in range(3))
    assert tuillm.read_corpus(texts=rows).documents == ("b" * 9,) * 3
    named: list[dict] = [{"title": "one"}, {"title": float("nan")}]
    assert tuillm.read_corpus(texts=named, text_field="title").documents == ("one",)


def test_a_generator_is_not_held_in_memory():
    """Of a stream of texts only a megabyte or so is there at a time."""

    class Text(str):
        pass

    there: weakref.WeakSet = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for number in range(400):
            text = Text(f"{number} " * 5000)
            there.add(text)
            most = max(most, len(there))
            yield text
        gc.collect()

    Trainer(texts=stream(), **QUICK)
    assert most < 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no text was named"),
        ({"corpus": "book.txt", "texts": ["a"]}, "corpus and texts cannot both be given"),
        ({"texts": []}, "there is nothing in texts .*only once"),
        ({"texts": iter(())}, "there is nothing in texts"),
        ({"texts": "book.txt"}, "texts cannot be 'book.txt' .*corpus="),
        ({"texts": b"book"}, "texts cannot be b'book'"),
        ({"texts": {"text": "a"}}, "texts cannot be {'text': 'a'}"),
        ({"texts": 5}, "texts cannot be 5"),
        ({"texts": ["a", 5]}, "item 2 of texts is 5 "),
        ({"texts": [None]}, "item 1 of texts is None "),
        ({"texts": [b"a"]}, "item 1 of texts is b'a' "),
        ({"texts": ["a", {"text": "b"}]}, "item 2 of texts is a dict, unlike"),
        ({"texts": [{"text": "b"}, "a"]}, "item 2 of texts is a string, unlike"),
        ({"texts": [{("a", "b"): 1}]}, "item 1 of texts cannot be written as JSON: keys must be"),
        ({"texts": ["a" * (65 << 20)]}, "item 1 of texts is longer than 64 MB .*corpus=PATH"),
        ({"texts": type("DataFrame", (), {"__iter__": lambda self: iter("ab")})()}, "DataFrame"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",  # no addresses in memory
)
def test_what_are_no_texts_is_one_line(given, words):
    """Each is refused when it is given, and leaves no file."""
    with pytest.raises(UsageError, match=words) as caught:
        Trainer(**given, **QUICK)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
    assert kept_files() == []


def test_a_record_within_itself_is_refused():
    """However deep JSON would have to go."""
    row: dict = {"text": "a"}
    row["row"] = row
    with pytest.raises(UsageError, match="item 1 of texts cannot be written as JSON"):
        Trainer(texts=[row], **QUICK)


def test_settings_are_looked_at_before_a_generator():
    """A wrong one costs no generator; what a generator raises is its own, and leaves no file."""
    texts = iter(LETTERS)
    with pytest.raises(UsageError, match="n_layer"):
        Trainer(texts=texts, n_lyer=2)
    assert next(texts) == LETTERS[0]

    def broken():
        yield "a" * (2 << 20)
        raise FileNotFoundError(2, "No such file", "page-2.txt")

    with pytest.raises(FileNotFoundError, match="page-2"):
        Trainer(texts=broken(), **QUICK)
    assert kept_files() == []


def test_texts_that_teach_nothing_leave_no_run():
    """Empty strings, and strings where questions are wanted."""
    with pytest.raises(TuillmError, match="texts.jsonl holds nothing to learn from"):
        Trainer(texts=["", " "], **QUICK).run()
    with pytest.raises(TuillmError, match="no field of the records is called question"):
        Trainer(texts=["a", "b"], format="qa", **QUICK).run()
    assert not list_models()


def test_a_cache_that_is_no_folder(home):
    """A disk that refuses is told in one line."""
    home.mkdir()
    (home / "cache").write_text("a file")
    with pytest.raises(DiskError, match="cannot write to"):
        Trainer(texts=["a"], **QUICK)


def test_a_disk_that_becomes_full():
    """One line, and no half of a file."""
    code = (
        "import resource, tuillm, tuillm.text.python_api\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: tuillm.read_corpus(texts=['a' * 5000])\n"
        "except tuillm.errors.DiskError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot write") and done.stdout.count("\n") == 1
    assert kept_files() == []


def test_explore_counts_what_the_command_counts(book):
    """A path, texts or a corpus that was read already."""
    found = tuillm.explore(str(book))
    assert found.size.bytes == len(book.read_bytes()) and found.languages[0].name == "English"
    corpus = tuillm.read_corpus(book)
    again = tuillm.explore(corpus)
    assert (again.size, again.words, again.tokens) == (found.size, found.words, found.tokens)
    assert tuillm.explore(texts=LETTERS).documents.count == 30
    with pytest.raises(UsageError, match="has been read already"):
        tuillm.explore(corpus, limit=2)


def test_settings_that_do_not_read_are_refused(book):
    """They would be passed over; unknown ones are answered as ever."""
    with pytest.raises(UsageError, match="n_layer has no part in how a text is read .*documents"):
        tuillm.read_corpus(book, n_layer=2)
    with pytest.raises(UsageError, match="did you mean 'documents'"):
        tuillm.explore(book, documnts="line")
    with pytest.raises(UsageError, match="no text was named"):
        tuillm.explore()


def test_the_bundled_book_is_there():
    """For a first try."""
    assert tuillm.demo_book().read_text(encoding="utf-8")
