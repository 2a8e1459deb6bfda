"""From what a person names to documents: modes, parts of a corpus, records, conversations."""

import json

import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError, UsageError, printable
from tuillm.store.paths import cache_dir
from tuillm.text import text_store
from tuillm.text.corpus import read_corpus
from tuillm.text.read_options import ReadOptions


def read(*sources, **settings):
    """The corpus of sources, read as these settings say."""
    config = build_train({"corpus": tuple(map(str, sources))} | settings)
    return read_corpus(config.corpus, options=ReadOptions.of(config))


@pytest.fixture
def poems(tmp_path):
    """A file of three short poems, and a table of forty."""
    text, table = tmp_path / "poems.txt", tmp_path / "poems.csv"
    text.write_text("one\ntwo\n\n\nthree\n \nfour\nfive\n")
    rows = "".join(f'{n},"poem {n}\nits end"\n' for n in range(40))
    table.write_text("id,body\n" + rows)
    return text, table


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("auto", ("one\ntwo\n\n\nthree\n \nfour\nfive\n",)),
        ("line", ("one", "two", "three", "four", "five")),
        ("blank-line", ("one\ntwo", "three", "four\nfive")),
    ],
)
def test_what_a_document_of_a_text_is(poems, mode, expected):
    """The file, each line with something in it, or each paragraph."""
    assert read(poems[0], documents=mode).documents == expected


@pytest.mark.parametrize("mode, count", [("auto", 40), ("record", 40), ("file", 1), ("none", 1)])
def test_what_a_document_of_a_table_is(poems, mode, count):
    """A record by itself, or all of the file's."""
    corpus = read(poems[1], documents=mode)
    assert len(corpus.documents) == count and "poem 39\nits end" in corpus.text


def test_none_makes_one_text_of_all(poems):
    """Each file begins on a line of its own."""
    corpus = read(*poems, documents="none")
    assert len(corpus.documents) == 1 and "\nfive\npoem 0\n" in corpus.text


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_limit_and_a_fraction_take_a_part(poems, mode):
    """The first ones, or a share drawn by the seed: the same again, another by another seed."""
    assert read(poems[1], documents=mode, limit=3).text.count("its end") == 3
    parts = [read(poems[1], documents=mode, fraction=0.3, seed=seed).text for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]
    assert 2 <= parts[0].count("its end") <= 25


def test_a_fraction_of_one_text_is_its_beginning(poems):
    """With a note that says so."""
    corpus = read(poems[0], fraction=0.5)
    assert poems[0].read_text().startswith(corpus.text) and 10 < len(corpus.text) < 18
    assert any("the first 50%" in note for note in corpus.notes)


def test_tables_have_encodings(tmp_path):
    """A named one is taken, also where the bytes would be guessed as another."""
    table = tmp_path / "t.csv"
    table.write_bytes("id,text\n1,Жаңа\n2,жыл\n".replace("ң", "н").encode("cp1251"))
    assert read(table, encoding="cp1251").documents == ("Жана", "жыл")
    assert read(table, encoding="koi8-r").documents != ("Жана", "жыл")


def test_what_is_no_conversation_is_refused(tmp_path, poems):
    """Lines of questions, texts beside questions, fields that are not there: one line each."""
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"question": "Who?", "answer": "Me."}) + "\n")
    for sources, settings, words in (
        ([pairs], {"format": "qa", "documents": "line"}, "documents cannot be 'line'"),
        ([pairs, poems[0]], {}, "holds qa records, and other files plain text"),
        ([poems[0]], {"format": "qa"}, "has no records to be qa"),
        ([poems[1]], {"format": "chat"}, "no field of the records is called messages"),
        ([pairs], {"question_field": "quest"}, "no record has a field 'quest'"),
        ([poems[1]], {"text_field": "boddy"}, "there is no field 'boddy'"),
    ):
        with pytest.raises(TuillmError, match=words) as caught:
            read(*sources, **settings)
        assert "\n" not in str(caught.value)


def test_conversations_of_several_forms(tmp_path):
    """Alpaca's, OpenAI's and ShareGPT's records; what has no answer is left out and counted."""
    rows: dict[str, list[dict[str, object]]] = {
        "alpaca": [{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "x"}],
        "openai": [
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho"},
                ]
            }
        ],
        "sharegpt": [
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}
        ],
    }
    found = {}
    for name, records in rows.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        found[name] = read(file)
    short = "<|user|>Hi<|assistant|>Ho<|endoftext|>"
    assert found["openai"].documents == found["sharegpt"].documents == (short,)
    assert found["alpaca"].documents == ("<|user|>Add.\n1 2<|assistant|>3<|endoftext|>",)
    assert "1 records without an answer left out" in " ".join(found["alpaca"].notes)


def test_each_of_several_answers(tmp_path):
    """The first, or every one as a conversation."""
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"question": "Who?", "answers": {"text": ["Me.", "You.", "Me."]}}))
    assert len(read(file, format="qa").documents) == 1
    assert len(read(file, format="qa", answers="each").documents) == 2


def test_a_large_corpus_is_read_once(poems, monkeypatch):
    """Found in the cache again, whatever the seed; a file that has changed is read anew."""
    monkeypatch.setattr(text_store, "_IN_MEMORY", 0)
    first = read(poems[1])
    stored = cache_dir() / "corpora"
    before = {path.name for path in stored.iterdir()}
    assert read(poems[1], seed=7).documents == first.documents
    assert read(poems[1]).notes == first.notes
    assert {path.name for path in stored.iterdir()} == before
    poems[1].write_text(poems[1].read_text() + "99,more\n")
    assert len(read(poems[1]).documents) == 41


def test_a_data_set_is_left_to_the_run(home, monkeypatch):
    """Neither the checks before a start nor a forecast fetch it."""
    from tuillm.training.forecast.static import look
    from tuillm.training.start_checks import validate_text

    config = build_train({"corpus": ("hf://datasets/none/such",)})
    validate_text(config)
    assert "hf://datasets/none/such will be downloaded" in look(config).skipped
    with pytest.raises(UsageError):
        build_train({"corpus": ("hf://datasets/none/such",), "documents": "chapter"})


def test_answers_that_are_nested_without_end_or_no_numbers_are_none(tmp_path):
    """They are left out and counted; nothing calls itself a thousand times."""
    table = tmp_path / "questions.jsonl"
    deep = "[" * 900 + '"x"' + "]" * 900
    rows = [deep, "NaN", "-Infinity", '{"text":' * 400 + "1" + "}" * 400, '[["That."]]', "7"]
    table.write_text("".join(f'{{"question": "What?", "answer": {row}}}\n' for row in rows))
    corpus = read(table)
    assert len(corpus.documents) == 2 and "That." in corpus.text and "7" in corpus.text
    assert "4 records without an answer left out" in corpus.notes


def test_names_of_fields_make_no_endless_lines(tmp_path):
    """Of thousands some are named, and of a long one its ends."""
    table = tmp_path / "questions.jsonl"
    names = ["question", "x" * 9_000, "\x1b[31m\nred", *(f"field {n}" for n in range(3_000))]
    table.write_text(json.dumps(dict.fromkeys(names, "a")))
    for more in ({}, {"question_field": "y" * 9_000, "answer_field": "question"}):
        with pytest.raises(UsageError) as refused:
            read(table, format="qa", **more)
        words = str(refused.value)
        assert "there are: question, xxx" in words and " more" in words
        assert len(words) < 700 and words == printable(words) and "\n" not in words
