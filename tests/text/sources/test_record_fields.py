"""Fields of records by their paths, as text, and which of them holds the text."""

import pytest

from tuillm.errors import TuillmError
from tuillm.text.sources.items import Record
from tuillm.text.sources.record_fields import (
    field_facts,
    field_value,
    fields_of,
    guess_text_field,
    missing_field,
    text_of,
)

SQUAD = {
    "title": "France",
    "context": "In Paris. " * 30,
    "question": "Where?",
    "answers": {"text": ["Paris", "in Paris"], "answer_start": [3, 0]},
    "a.b": "dotted",
    "a": {"b": "nested", "c": [[1, 2], [3]]},
    "turns": [{"role": "user", "content": "hello"}, {"role": "bot", "content": "good day"}, 7],
    "none": None,
}


def records(*values):
    return [Record(number, each) for number, each in enumerate(values, 1)]


@pytest.mark.parametrize(
    "path, value",
    [
        ("title", "France"),
        ("answers.text[0]", "Paris"),
        ("answers.text[-1]", "in Paris"),
        ("answers.text[2]", None),
        ("answers.text[-3]", None),
        ("answers.text", ["Paris", "in Paris"]),
        ("a.b", "dotted"),
        ("a.c[0][1]", 2),
        ("turns.content", ["hello", "good day"]),
        ("turns[1].content", "good day"),
        ("turns[2].content", None),
        ("turns.nothing", None),
        ("none.deeper[3]", None),
        ("title.deeper", None),
        ("title[0]", None),
        ("nothing", None),
    ],
)
def test_a_path_leads_to_a_value_or_to_none(path, value):
    assert field_value(SQUAD, path) == value


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "[0]", "a]", "a[0]b"]
)
def test_what_is_no_path_is_one_line(path):
    with pytest.raises(TuillmError, match="is no name of a field .for example text"):
        field_value(SQUAD, path)
    assert field_value({path: 1}, path) == 1  # but a field may be called so


@pytest.mark.parametrize(
    "value, text",
    [
        ("as it is\n", "as it is\n"),
        (None, ""),
        (17, "17"),
        (2.5, "2.5"),
        (float("nan"), ""),
        (True, "true"),
        (["a", None, "b", 3], "a\nb\n3"),
        ([], ""),
        ({"text": ["a", "b"], "answer_start": [1, 2]}, "a\nb"),
        ({"role": "user", "content": "hello"}, "hello"),
        ([{"role": "user", "content": "hello"}, {"text": "you"}], "hello\nyou"),
        ({"a": [1, "ö"]}, '{"a": [1, "ö"]}'),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\xfe", ""),
    ],
)
def test_values_as_text(value, text):
    assert text_of(value) == text


def test_values_nested_beyond_measure_are_no_text():
    deep = value = []
    for _ in range(5000):
        deep.append([])
        deep = deep[0]
    assert text_of(value) == "" and text_of({"a": {"b": value}}) == ""


def test_the_fields_are_told_with_how_often_they_are_text():
    found = {facts.name: facts for facts in field_facts(records(SQUAD, {"title": 3, "extra": "x"}))}
    assert [*found] == [
        *("title", "context", "question", "answers.text", "answers.answer_start"),
        *("a.b", "a.c", "turns", "none", "extra"),
    ]
    assert (found["title"].seen, found["title"].texts, found["title"].characters) == (2, 1, 6)
    assert found["answers.text"].is_text and not found["answers.answer_start"].is_text
    assert found["none"].seen == 0
    chats = records({"turns": SQUAD["turns"][:2]})
    assert fields_of(chats) == ["turns.role", "turns.content"]
    assert all(field_value(chats[0].values, name) for name in fields_of(chats))


def test_only_the_first_thousand_records_are_looked_at():
    def endless():
        number = 0
        while True:
            number += 1
            yield Record(number, {"text": "x", f"field{number}": 1})

    facts = field_facts(endless())
    assert facts[0].seen == 1000 and len(facts) == 500


@pytest.mark.parametrize(
    "values, field",
    [
        ({"label": "x" * 99, "text": "a"}, "text"),
        ({"Text": "a", "title": "longer"}, "Text"),
        ({"body": "b", "content": "c"}, "content"),
        ({"text": 3, "plot": "a story", "title": "a"}, "plot"),
        ({"text": "", "plot": "a story"}, "plot"),
        (SQUAD, "context"),
        ({"data": {"lines": ["a", "b"]}}, "data.lines"),
    ],
)
def test_the_text_is_found_by_its_name_or_by_its_length(values, field):
    assert guess_text_field(records(values)) == field


def test_where_no_field_is_text_that_is_said():
    with pytest.raises(TuillmError, match="no field holds text; there are a, b"):
        guess_text_field(records({"a": 1, "b": None}))
    with pytest.raises(TuillmError, match="no field holds text$"):
        guess_text_field([])


def test_a_missing_field_is_told_with_those_there_are():
    error = missing_field("txet\n", ["text", "label\x1b[31m"])
    assert (
        str(error)
        == "there is no field 'txet\\n'; there are text, label[31m (did you mean 'text'?)"
    )
    many = str(missing_field("zzz", [f"field{n}" for n in range(100)]))
    assert many.endswith("field19 and 80 more")
