"""Tables as records: what other programs wrote is read as they would read it; damage is counted."""

import csv
import gzip
import json
import sys
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from io import BytesIO, StringIO

import pytest
from text.sources.items_made import dribbling, item_at, item_of

from tuillm.errors import TuillmError
from tuillm.text.sources.item_kinds import kind_of
from tuillm.text.sources.items import Item
from tuillm.text.sources.open_item import bounded_lines
from tuillm.text.sources.tables import read_records

MB = 1 << 20
PROSE = 'He said "no", and left;\nthe door\tstayed | open.'
AWKWARD = ["plain", PROSE, "", " blanks ", '"', '""', "日本語 – ö\u2028x", "a,b", "it's", "\\"]


def rows(item, **options):
    return [record.values for record in read_records(item, **options)]


@contextmanager
def traced():
    """The most memory that Python took in the block, in bytes, afterwards."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def numbers(records):
    return [record.number for record in records]


# what a file is


@pytest.mark.parametrize(
    "name, content, kind",
    [
        ("a.jsonl", '{"text": "x"}\n', "jsonl"),
        ("a.ndjson", '{"text": "x"}\n', "jsonl"),
        ("a.jsonl", ' [\n{"text": "x"}]', "json"),
        ("A.JSONL", "{broken\n", "jsonl"),
        ("a.jsonl.gz", '{"text": "x"}\n', "jsonl"),
        ("a.json", '[{"text": "x"}]', "json"),
        ("a.json", '{"text": "x"}\n{"text": "y"}\n', "jsonl"),
        ("a.json", '{"data": [{"text": "x"}]}', "json"),
        ("a.json", '{"version": 1, "things": [{"text": "much of it"}, {"text": "more"}]}', "json"),
        ("a.json", '{"name": "x", "settings": {"a": 1}}', "text"),
        ("a.json", '{"model": {"a": "' + 99 * "x" + '"}, "added": [{"id": 1}]}', "text"),
        ("a.json", '["a", "b"]', "text"),
        ("a.json", "no json", "text"),
        ("a.json", "", "text"),
        ("a.txt", '{"text": "x"}\n{"text": "y"}\n', "jsonl"),
        ("a.txt", '{"text": "x"}\n', "text"),
        ("a.txt", '{"text": "x"}\n{"text": "y"}\nand then\nhe said\n', "text"),
        ("a.txt", "one, two, three\nfour, five, six\n" * 20, "text"),
        ("a.txt", '[{"text": "x"}]', "text"),
        ("a.md", "<html>", "text"),
        ("a.csv", "text\nx\n", "csv"),
        ("a.tsv", "text\tlabel\n", "tsv"),
        ("a.csv", "PAR1....PAR1", "parquet"),
        ("a.txt", "%PDF-1.4\n", "pdf"),
        ("a.pdf", "no pdf", "pdf"),
        ("a.html", "<p>x", "html"),
        ("a.html", "no tags", "text"),
        ("a.txt", "<!-- x --><!DOCTYPE html><p>x", "html"),
        ("a.txt", "HTML begins with <!DOCTYPE html>", "text"),
        ("https://host/page.php?a=b.csv", "<html>", "html"),
        ("https://host/rows?offset=0", '{"rows": [{"row": {"a": 1}}]}', "json"),
        ("https://host/t.csv?download=1", "a,b\n", "csv"),
        ("books.zip/a.csv", "a,b\n", "csv"),
        ("a", "\0\1\2\3" * 99, "text"),
    ],
)
def test_the_kind_is_found_by_suffix_and_first_bytes(name, content, kind):
    assert kind_of(item_of(content, name)) == kind


def test_json_lines_among_texts_may_have_a_bad_one():
    """Nearly all of the first lines are objects, as when a line was torn."""
    lines = [json.dumps({"text": "x" * 30})] * 60
    assert kind_of(item_of("\n".join([*lines, '{"torn', *lines]), "a.txt")) == "jsonl"
    assert kind_of(item_of("\n".join([*lines, *["said he"] * 20]), "a.txt")) == "text"


def test_hostile_beginnings_cost_no_time():
    """Comments, blanks and brackets without an end are looked at once."""
    start = time.process_time()
    for content in ("<!--" * 60_000, "<!-- --" * 30_000, "[" * 250_000, '{"a":' * 50_000):
        kind_of(item_of(content, "a.txt"))
        kind_of(item_of(content, "a.json"))
    kind_of(item_of("\n" * 250_000 + "<", "a.txt"))
    assert time.process_time() - start < 5


def test_no_table_is_said_to_be_none():
    with pytest.raises(TuillmError, match=r"book.txt is no table.*\.jsonl"):
        read_records(item_of("It was a dark night.", "book.txt"))


# JSON lines


def test_json_lines_are_read_as_json_reads_them():
    """Every value comes back; numbers are those of lines; a second iteration starts anew."""
    made = [
        {"text": text, "n": n, "nested": {"list": [n, None, True]}}
        for n, text in enumerate(AWKWARD)
    ]
    content = "\r\n".join(json.dumps(each, ensure_ascii=False) for each in made) + "\n\n"
    records = read_records(item_of(content))
    assert [record.values for record in records] == made
    assert numbers(records) == [*range(1, len(made) + 1)]
    assert records.broken == [] and records.broken_count == 0


BROKEN = [
    ('{"a": 1', "is no JSON"),
    ("[1, 2]", "is no object"),
    ("17", "is no object"),
    ("null", "is no object"),
    ('{"a": "\\ud800"}', "half a surrogate"),
    ('{"a": ["\\udfff\\ud800"]}', "half a surrogate"),
    ('{"a": ' + "9" * 5000 + "}", "digits"),
    ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ('{"a": "\0"}', "is no JSON"),
    ("{'a': 1}", "is no JSON"),
    ("\ufeff{}", "is no JSON"),
]


@pytest.mark.parametrize("line, reason", BROKEN)
def test_a_broken_line_is_counted_and_left_out(line, reason):
    """The lines around it are read; with strict it is an error that names it."""
    content = f'{{"a": 1}}\n\n{line}\n{{"a": 2}}'
    records = read_records(item_of(content))
    assert [(record.number, record.values) for record in records] == [(1, {"a": 1}), (4, {"a": 2})]
    assert (records.broken, records.broken_count) == ([3], 1)
    assert reason in records.broken_reason
    with pytest.raises(
        TuillmError, match=f"line 3 of table.jsonl is broken: it .*{reason}"
    ) as error:
        list(read_records(item_of(content), strict=True))
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_pairs_of_surrogates_are_characters():
    assert rows(item_of('{"a": "\\ud83d\\ude00 \\\\ud800"}')) == [{"a": "😀 \\ud800"}]


def test_the_first_ten_broken_lines_are_kept_by_number():
    records = read_records(item_of("nothing\n" * 5000 + '{"a": 1}\n'))
    assert numbers(records) == [5001]
    assert records.broken_count == 5000 and records.broken == [*range(1, 11)]


def test_a_line_of_more_than_64_mb_is_left_out_without_filling_the_memory():
    """It is never held as a whole; a line of 10 MB is read."""

    parts = [b'{"a": "', *[b"x" * MB] * 70, b'"}\n{"a": "', *[b"y" * MB] * 10, b'"}\n']

    class Long(BytesIO):
        def __init__(self):
            super().__init__()
            self.parts = iter(parts)

        def read(self, most=-1):
            return next(self.parts, b"")

    records = read_records(Item("a.jsonl", Long))
    with traced() as peak:
        (found,) = records
    assert found.number == 2 and len(found.values["a"]) == 10 * MB
    assert records.broken == [1] and "64 MB" in records.broken_reason
    assert peak[0] < 160 * MB


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Reading 12 MB of each kind takes less than that."""
    row = {"text": "word " * 60, "n": 1}
    count = 40_000
    (tmp_path / "a.jsonl").write_text((json.dumps(row) + "\n") * count)
    (tmp_path / "a.json").write_text("[" + ",".join([json.dumps(row)] * count) + "]")
    (tmp_path / "a.csv").write_text("text,n\n" + f"{row['text']},1\n" * count)
    for name in ("a.jsonl", "a.json", "a.csv"):
        records = read_records(item_at(tmp_path / name))
        with traced() as peak:
            assert sum(1 for _ in records) == count
        assert peak[0] < 8 * MB, name


# encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings_and_byte_order_marks_are_understood(encoding):
    """Also for a table longer than what is read at once, whose pieces end within characters."""
    text = "name\ttext\r\n" + "Jörg\t„Straße“ 😀\r\n" * 70_000
    found = rows(dribbling(text.encode(encoding), "excel.tsv"))
    assert len(found) == 70_000
    assert {tuple(each.items()) for each in found} == {(("name", "Jörg"), ("text", "„Straße“ 😀"))}


def test_an_older_encoding_is_found_where_it_shows(tmp_path):
    """Two MB of ASCII come first; what was guessed is told."""
    line = "Die Straße über die Brücke führte früher größere Mengen süßer Äpfel; schön für Hörer.\n"
    text = "text\n" + "plain words, nothing else\n" * 90_000 + line * 50
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    records = read_records(item_at(tmp_path / "a.csv"))
    assert [record.values["text"] for record in records][-1] == line.strip()
    assert records.notes == ["a.csv: read as cp1252"]


def test_the_charset_that_a_server_told_is_used():
    content = "text\nпривет\n".encode("koi8-r")
    assert rows(item_of(content, "a.csv", charset="koi8-r")) == [{"text": "привет"}]


def test_bytes_that_are_no_utf8_become_ufffd_and_are_told():
    content = b'{"a": "' + "ä".encode() * 40 + b'\xff"}\n'
    records = read_records(item_of(content))
    assert [record.values for record in records] == [{"a": "ä" * 40 + "\ufffd"}]
    assert records.notes == ["table.jsonl: 1 places could not be decoded and became U+FFFD"]


def test_what_is_no_text_is_refused():
    with pytest.raises(TuillmError, match="binary"):
        rows(item_of(bytes(range(256)) * 40, "a.csv"))


def test_a_file_that_breaks_off_within_its_compression_is_one_line(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 100_000)[:-20])
    with pytest.raises(TuillmError, match="cannot read a.jsonl.gz: "):
        rows(Item("a.jsonl.gz", lambda: gzip.open(path)))


# JSON documents

PIECES = [{"text": text, "n": [n, {"deep": -1.5e-7}]} for n, text in enumerate(AWKWARD * 3)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("shape", ["list", "data", "before", "after"])
def test_a_list_of_objects_is_read_wherever_it_stands(shape, indent):
    document = {
        "list": PIECES,
        "data": {"data": PIECES},
        "before": {"version": "1.1", "counts": [1, 2, [3]], "things": PIECES, "none": None},
        "after": {"few": [{"a": 1}], "things": PIECES, "empty": []},
    }[shape]
    records = read_records(item_of(json.dumps(document, indent=indent), "a.json"))
    assert [record.values for record in records] == PIECES
    assert numbers(records) == [*range(1, len(PIECES) + 1)]
    assert bool(records.notes) == (shape == "after")


def test_every_place_may_be_the_end_of_what_was_read_at_once(monkeypatch):
    """Numbers, escapes and words that a piece cuts are no errors."""
    made = [{"a": 12345.678e-9, "b": "\\u00e4\\ud83d\\ude00", "c": [True, None, -1]}] * 2
    content = json.dumps(made)
    from tuillm.text.sources import open_item

    for size in range(1, 40):
        monkeypatch.setattr(open_item, "_PIECE", size)
        assert rows(item_of(content, "a.json")) == made


def test_squad_is_flattened_to_questions():
    """In both spellings of answers `answers.text` is a list, as in the hub's data set."""
    answers = [{"text": "Paris", "answer_start": 3}, {"text": "in Paris", "answer_start": 0}]
    paragraph = {
        "context": "In Paris.",
        "qas": [{"id": "1", "question": "Where?", "answers": answers}],
    }
    document = {"version": "1.1", "data": [{"title": "France", "paragraphs": [paragraph] * 2}] * 2}
    found = rows(item_of(json.dumps(document), "train-v1.1.json"))
    assert len(found) == 4
    assert found[0] == {
        "title": "France",
        "context": "In Paris.",
        "id": "1",
        "question": "Where?",
        "answers": {"text": ["Paris", "in Paris"], "answer_start": [3, 0]},
    }


def test_the_rows_of_the_hubs_viewer_are_unwrapped():
    document = {
        "features": [{"feature_idx": 0, "name": "text", "type": {"dtype": "string"}}],
        "rows": [{"row_idx": 0, "row": {"text": "x"}, "truncated_cells": []}],
        "num_rows_total": 1,
    }
    assert rows(item_of(json.dumps(document), "https://host/rows?offset=0")) == [{"text": "x"}]


@pytest.mark.parametrize(
    "tail, words",
    [
        ("", "ends too early"),
        (', {"text": "cut', "ends too early"),
        (", {]", "character"),
        ("] and more", "behind its end"),
        (", " + "[" * 200_000, "nested too deeply"),
        (", " + "9" * 5000 + "]", "digits"),
    ],
)
def test_a_damaged_document_gives_what_stands_before_and_one_line(tail, words):
    found = []
    with pytest.raises(TuillmError, match=f"a.json is damaged JSON: .*{words}") as error:
        for record in read_records(item_of('[{"text": "x"}, {"text": "y"}' + tail, "a.json")):
            found.append(record.values["text"])
    assert found == ["x", "y"] and "\n" not in str(error.value)


def test_elements_that_are_no_objects_are_counted():
    records = read_records(item_of('[{"a": 1}, 2, {"a": "\\ud800"}, {"a": 3}]', "a.json"))
    assert numbers(records) == [1, 4] and records.broken == [2, 3]


def test_a_document_of_hostile_length_costs_no_time():
    """A string of 10 MB, and blanks of 10 MB, are gone over a few times only."""
    start = time.process_time()
    (found,) = rows(
        item_of('[{"a": "' + "x\\\\" * 3_500_000 + '"}' + " " * 10_000_000 + "]", "a.json")
    )
    assert len(found["a"]) == 7_000_000
    assert time.process_time() - start < 10


# tables of text


def written(rows, **dialect):
    out = StringIO(newline="")
    csv.writer(out, **dialect).writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_what_the_csv_module_writes_is_read_back(delimiter, quoting, ends):
    """Cells with delimiters, quotes and lines of their own, whatever stands between the columns."""
    table = [[str(n), text, "x"] for n, text in enumerate(AWKWARD * 3)]
    content = written(
        [["id", "text", "label"], *table], delimiter=delimiter, quoting=quoting, lineterminator=ends
    )
    name = "a.tsv" if delimiter == "\t" else "a.csv"
    assert [[*row.values()] for row in rows(item_of(content, name), strict=True)] == table


def test_backslashes_before_quotes_are_understood():
    table = [[str(n), f'she said "{n}", twice'] for n in range(30)]
    content = written([["id", "text"], *table], escapechar="\\", doublequote=False)
    assert [[*row.values()] for row in rows(item_of(content, "a.csv"), strict=True)] == table


def test_quotes_in_a_table_with_tabs_may_be_plain_characters():
    """As GLUE's tables have them; what Excel wrote with quotes is read as well."""
    content = 'label\ttext\n1\t"Hello," he said\n0\tan open "quote\n1\t"unclosed\n'
    assert [row["text"] for row in rows(item_of(content, "a.tsv"), strict=True)] == [
        '"Hello," he said',
        'an open "quote',
        '"unclosed',
    ]
    content = 'label\ttext\n1\t"two\nlines"\n0\t"a ""word"""\n'
    assert [row["text"] for row in rows(item_of(content, "a.tsv"))] == ["two\nlines", 'a "word"']


def test_a_table_of_one_column_may_have_commas():
    content = 'text\nfirst, second\n"quoted, and ""so""\non"\n\nlast\n'
    assert rows(item_of(content, "a.csv"), strict=True) == [
        {"text": "first, second"},
        {"text": 'quoted, and "so"\non'},
        {"text": "last"},
    ]


def test_excels_note_on_the_delimiter_is_no_header():
    assert rows(item_of("sep=;\r\na;b\r\n1,5;2\r\n", "a.csv")) == [{"a": "1,5", "b": "2"}]


def test_names_of_columns_may_be_missing_or_twice():
    assert rows(item_of(",text,text\n0,x,y\n", "a.csv")) == [
        {"column_1": "0", "text": "x", "text_3": "y"}
    ]


@pytest.mark.parametrize(
    "first", ["great,1", "I liked it very much.,pos", "x," + "word" * 60, "-3.5%,a", "0;b"]
)
def test_a_table_without_a_header_is_refused(first):
    with pytest.raises(TuillmError, match="looks like data.*put a line of names on top"):
        rows(item_of(f"{first}\n{first}\n", "a.csv"))


def test_an_empty_table_is_refused():
    with pytest.raises(TuillmError, match="a.csv is empty"):
        rows(item_of("\n\n", "a.csv"))
    assert rows(item_of("a,b\n", "a.csv")) == []


def test_rows_of_another_width_are_counted_with_their_line():
    records = read_records(item_of('a,b\n1,"x\ny"\n2\n3,4,5\n\n6,\0\n7,8\n', "a.csv"))
    assert numbers(records) == [1, 5]
    assert records.broken == [2, 3, 4]
    assert records.broken_reason == "has 1 columns, the header 2 (line 4)"
    with pytest.raises(TuillmError, match=r"row 2 of a.csv is broken: .* \(line 4\)"):
        list(read_records(item_of('a,b\n1,"x\ny"\n2\n', "a.csv"), strict=True))


def test_a_quote_that_nobody_closes_costs_its_own_row():
    """Not all rows that follow, however many; and neither does one that the next quote closes."""
    good = "".join(f"{n},plain\n" for n in range(1000))
    records = read_records(item_of("a,b\n" + good + '1,"open\n' + good, "a.csv"))
    assert len(numbers(records)) == 2000 and records.broken == [1001]
    assert "not closed" in records.broken_reason
    records = read_records(item_of("a,b\n" + good + '1,"open\n' + good + '2,"x"\n' + good, "a.csv"))
    assert len(numbers(records)) == 3001 and records.broken == [1001]


@pytest.mark.slow
def test_many_quotes_that_nobody_closes_end(monkeypatch):
    """Each line opens one, and what is read once more is bounded."""
    start = time.process_time()
    records = read_records(item_of("a,b\n" + '1,"x""\n' * 100_000, "a.csv"))
    assert numbers(records) == [] and records.broken_count == 100_000
    from tuillm.text.sources import csv_records

    monkeypatch.setattr(csv_records, "_SPAN", MB)
    records = read_records(item_of('a,b\n1,"x\n' + "2,y\n" * 400_000, "a.csv"))
    assert sum(1 for _ in records) == 400_000 and records.broken == [1]
    monkeypatch.setattr(csv_records, "_AGAIN", MB // 2)
    assert sum(1 for _ in records) < 200_000 and "not closed" in records.broken_reason
    assert time.process_time() - start < 60


def test_a_cell_of_ten_mb_is_read():
    (found,) = rows(item_of('a,b\n1,"' + "x" * (10 * MB) + '"\n', "a.csv"))
    assert len(found["b"]) == 10 * MB


# Parquet


def parquet(tmp_path, table, **options):
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "a.parquet", **options)
    return tmp_path / "a.parquet"


@pytest.fixture
def pyarrow():
    return pytest.importorskip("pyarrow", reason="the extra `datasets` is not installed")


def test_parquet_is_read_as_pyarrow_reads_it(pyarrow, tmp_path):
    """Lists, nested structs and missing values, over several row groups."""
    made = [
        {
            "text": text,
            "answers": {"text": [text, None], "start": [n]},
            "turns": [{"role": "user", "content": text}],
            "score": n / 7,
            "none": None,
            "raw": text.encode(),
        }
        for n, text in enumerate(AWKWARD * 40)
    ]
    path = parquet(tmp_path, pyarrow.Table.from_pylist(made), row_group_size=100)
    records = read_records(item_at(path))
    assert [record.values for record in records] == made
    assert numbers(records) == [*range(1, len(made) + 1)]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a.parquet")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        packed = Item("a.zip/a.parquet", lambda: archive.open("a.parquet"))
        assert rows(packed) == made
    assert rows(dribbling(path.read_bytes(), "https://host/a.parquet?x=1")) == made


def test_points_in_time_are_text(pyarrow, tmp_path):
    table = pyarrow.table(
        {"at": pyarrow.array([1, None, 2**62], pyarrow.timestamp("ns")), "text": ["a", "b", "c"]}
    )
    found = rows(item_at(parquet(tmp_path, table)))
    assert found[0] == {"at": "1970-01-01 00:00:00.000000001", "text": "a"}
    assert found[1]["at"] is None


def test_text_that_is_no_utf8_costs_its_own_row(pyarrow, tmp_path):
    column = pyarrow.array([b"x", b"\xff", b"y"]).view(pyarrow.string())
    path = parquet(tmp_path, pyarrow.table({"text": column}))
    records = read_records(item_at(path))
    assert [record.values["text"] for record in records] == ["x", "y"]
    assert records.broken == [2]


@pytest.mark.parametrize("damage", ["cut", "short", "flipped", "footer"])
def test_damaged_parquet_is_one_line(pyarrow, tmp_path, damage):
    path = parquet(tmp_path, pyarrow.table({"text": [f"text {n} " * 50 for n in range(3000)]}))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[100:2000] = bytes(1900)
    elif damage == "footer":
        content[-100:-8] = b"\xff" * 92
    else:
        content = content[: len(content) // 2 if damage == "cut" else 6]
    with pytest.raises(TuillmError, match="a.parquet is damaged or no Parquet") as error:
        rows(item_of(bytes(content), "a.parquet"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_parquet_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("tuillm.text.sources.open_item.find_spec", lambda name: None)
    with pytest.raises(TuillmError, match=r"pip install 'tuillm\[datasets\]'"):
        read_records(item_of(b"PAR1", "a.parquet"))


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["\nabc\n\ndef\n"], ["", "abc", "", "def"]),
        (["x\n1\nx\n"], ["x", "1", "x"]),
        (["a", "b\n", "\nc"], ["ab", "", "c"]),
    ],
)
def test_lines_are_those_of_split(pieces, lines):
    """Also where two are equal: Python keeps short strings once."""
    assert list(bounded_lines(pieces)) == lines
