"""The preview of a corpus: what its beginning tells, its first document as training reads it."""

import csv
import gzip
import json
import zipfile

import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.text.corpus import read_corpus
from tuillm.text.preview import preview
from tuillm.text.read_options import ReadOptions
from tuillm.training.forecast.process import first_look, look

PAIRS = [
    {"id": n, "context": f"Passage {n}.", "question": f"Who {n}?", "answers": {"text": ["A", "B"]}}
    for n in range(30)
]
CHATS = [
    {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
            {"role": "assistant", "content": "Farewell"},
        ]
    }
]
BOOK = (
    "The Project Gutenberg eBook of Salt\n\n*** START OF THE PROJECT GUTENBERG EBOOK SALT ***\n"
    + "Salt has no friends.\n" * 300
)


def write_pairs(folder):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PAIRS), encoding="utf-8")
    return path


def write_chats(folder):
    path = folder / "chats.json"
    path.write_text(json.dumps(CHATS), encoding="utf-8")
    return path


def write_table(folder):
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["title", "story"], *[[f"T{n}", f"Once {n}\nupon"] for n in range(9)]])
    return path


def write_zip(folder):
    path = folder / "texts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one.txt", "one salt\n" * 40)
        archive.writestr("a/two.txt", "two salts\n" * 40)
        archive.writestr("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    return path


def write_folder(folder):
    path = folder / "books"
    path.mkdir()
    (path / "salt.txt").write_text(BOOK, encoding="utf-8")
    (path / "zeta.txt").write_text("zeta\n" * 50, encoding="utf-8")
    return path


def write_book(folder):
    path = folder / "latin.txt"
    path.write_bytes(("Größe und Maß, für den König.\r\n" * 200).encode("cp1252"))
    return path


def write_gz(folder):
    path = folder / "book.txt.gz"
    path.write_bytes(gzip.compress(BOOK.encode()))
    return path


CASES = [
    (write_pairs, {}),
    (write_pairs, {"context_field": "context", "answers": "each"}),
    (write_pairs, {"mask_prompt": False}),
    (write_pairs, {"format": "text", "text_field": "answers.text[1]"}),
    (write_pairs, {"documents": "none", "text_field": "question"}),
    (write_chats, {}),
    (write_table, {"normalize": "nfkc"}),
    (write_table, {"documents": "line"}),
    (write_zip, {"glob": "*two*"}),
    (write_zip, {"documents": "line"}),
    (write_folder, {}),
    (write_folder, {"keep_boilerplate": True, "documents": "blank-line"}),
    (write_book, {}),
    (write_gz, {}),
]


@pytest.mark.parametrize(
    ("write", "settings"), CASES, ids=[f"{write.__name__}-{settings}" for write, settings in CASES]
)
def test_the_first_document_is_the_one_that_is_learned(tmp_path, write, settings):
    """Its text, and what of it is learned, are those of the corpus that a run reads."""
    config = build_train({"corpus": str(write(tmp_path)), **settings})
    seen = preview(config)
    assert not seen.problem
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config))
    begin, end = corpus.store.span(0)
    pieces = [each for each in seen.document if each.text != "<|endoftext|>" or corpus.template]
    shown = "".join(each.text for each in pieces)
    assert corpus.store.text(begin, end) == shown or (
        seen.cut and corpus.store.text(begin, end).startswith(shown) and len(shown) == 4000
    )
    if corpus.store.learned is not None:
        ranges, at = [], 0
        for each in pieces:
            size = len(each.text.encode())
            if each.learned and ranges and ranges[-1][1] == at:
                ranges[-1] = (ranges[-1][0], at + size)
            elif each.learned:
                ranges.append((at, at + size))
            at += size
        found = [pair for pair in corpus.store.learned.T.tolist() if pair[0] < end]
        assert [list(pair) for pair in ranges] == found


@pytest.mark.parametrize(
    ("write", "settings", "words"),
    [
        (write_pairs, {}, "qa, question → answers.text[0]"),
        (write_pairs, {"context_field": "context"}, "qa, context + question → answers.text[0]"),
        (write_pairs, {"text_field": "context"}, "text, field context"),
        (write_chats, {}, "chat, field messages"),
        (write_table, {}, "text, field story"),
        (write_zip, {}, ""),
    ],
)
def test_what_auto_becomes_is_said(tmp_path, write, settings, words):
    """The format with its fields; nothing for plain texts, which have none."""
    seen = preview(build_train({"corpus": str(write(tmp_path)), **settings}))
    assert seen.words == words and bool(seen.fields) == bool(words)


def test_fields_have_samples(tmp_path):
    """Each field is there by its path, with a value in one line; numbers are no text."""
    seen = preview(build_train({"corpus": str(write_pairs(tmp_path))}))
    fields = {each.name: each for each in seen.fields}
    assert list(fields) == ["id", "context", "question", "answers.text"]
    assert fields["context"].sample == "Passage 0." and fields["answers.text"].sample == "A B"
    assert fields["question"].is_text and not fields["id"].is_text


def test_files_are_counted(tmp_path):
    """As the run will say it."""
    found = preview(build_train({"corpus": str(write_zip(tmp_path))})).found
    assert found.startswith("2 files, 1 skipped (") and found.endswith(", 760 B")


@pytest.mark.parametrize("field", ["question_field", "answer_field", "context_field", "text_field"])
@pytest.mark.parametrize("name", ["nope", "answers.nope"])
def test_a_field_that_is_not_there_is_named(tmp_path, field, name):
    """The preview keeps the fields there are; a run refuses it in the same words."""
    config = build_train({"corpus": str(write_pairs(tmp_path)), field: name})
    seen = preview(config)
    assert repr(name) in seen.problem and seen.fields and not seen.document
    with pytest.raises(TuillmError) as refused:
        look(config, first_look(config))
    assert str(refused.value) == seen.problem


def test_only_the_beginning_is_read(tmp_path):
    """What is broken far behind it is not seen; a text without end is cut."""
    table = write_pairs(tmp_path)
    with table.open("ab") as file:
        file.write(b'{"question": "Q", "answers": "A"}\n' * 100_000 + b"\0\xff" * 3_000_000)
    assert preview(build_train({"corpus": str(table), "strict": True})).problem == ""
    text = tmp_path / "long.txt"
    text.write_text("Söld and salt, " * 400_000, encoding="utf-8")  # a line, cut in a megabyte
    seen = preview(build_train({"corpus": str(text)}))
    assert seen.cut and seen.document[0].text == ("Söld and salt, " * 400)[:4000]


def test_records_without_an_answer(tmp_path):
    """The first records are looked at, not all; the preview says what they lack."""
    table = tmp_path / "empty.jsonl"
    table.write_text('{"question": "Q", "answer": ""}\n' * 1000, encoding="utf-8")
    seen = preview(build_train({"corpus": str(table)}))
    assert seen.problem == "the first 200 records hold nothing to learn from" and seen.fields


def test_what_the_beginning_could_not_tell_comes_with_the_whole(tmp_path, monkeypatch):
    """Where there was no time for a first document, that of the whole corpus is shown."""
    monkeypatch.setattr("tuillm.text.preview._SECONDS", -1.0)
    config = build_train({"corpus": str(write_pairs(tmp_path)), "preset": "nano"})
    first = first_look(config)
    assert first and first.preview and not first.preview.document
    seen = look(config, first).preview
    assert seen and "".join(each.text for each in seen.document).startswith("<|user|>Who 0?")


def test_a_text_that_is_missing_is_an_error(tmp_path):
    """There is nothing to preview."""
    with pytest.raises(TuillmError, match="does not exist"):
        preview(build_train({"corpus": str(tmp_path / "none.txt")}))
