"""`tuillm train --forecast`: what a run would take, and nothing started."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def forecast(*arguments):
    """Run `tuillm train ... --forecast` and return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "tuillm", "train", *map(str, arguments), "--forecast"],
        text=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )


def test_a_forecast_is_told_in_words(book, home):
    """Facts are aligned, cautions are sentences, and neither run nor model comes to be."""
    done = forecast(book, "--preset", "nano", "--max-steps", 500, "--n-embd", 256)
    assert done.returncode == 0 and done.stderr == ""
    rows = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    lines = dict(line.split(maxsplit=1) for line in rows)
    assert list(lines) == [
        *("first", "text", "model", "memory", "disk", "speed", "run", "data", "note", "caution")
    ]
    assert "* bpe" in done.stdout and "bytes/token" in done.stdout
    assert lines["text"].startswith("30 kB, 30,000 characters: ")
    assert "tokens/s" in lines["speed"] and lines["run"].startswith("500 steps of 256 tokens")
    assert {line[8] for line in done.stdout.splitlines()} == {" "}
    assert not [*home.glob("models/*"), *home.glob("runs/*")]


def test_a_forecast_for_programs(book):
    """With --json-lines the same comes as JSON, a line as soon as more is known."""
    done = forecast(book, "--preset", "nano", "--json-lines")
    first, text, speed = map(json.loads, done.stdout.splitlines())
    assert first["preview"]["document"] == speed["preview"]["document"]
    assert text["parameters"] == speed["parameters"] and speed["step_seconds"] > 0


def test_a_table_is_told_by_its_fields_and_its_first_document(tmp_path):
    """Before all else: what the records are, and how the first of them will be read."""
    table = tmp_path / "pairs.jsonl"
    row = '{"question": "Who?", "answers": {"text": ["Salt", "Sal"]}}\n'
    table.write_text(row * 200, encoding="utf-8")
    done = forecast(table, "--preset", "nano")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "format   qa, question → answers.text[0]",
        "first    <|user|> Who? <|assistant|> Salt <|endoftext|>",
    ]


def test_an_address_is_not_fetched():
    """A forecast says what the run would download, and downloads nothing."""
    done = forecast("http://127.0.0.1:9/book.txt")
    assert done.returncode == 0
    assert "not measured: http://127.0.0.1:9/book.txt will be downloaded" in done.stdout


def test_a_text_that_cannot_be_read_is_an_error(tmp_path):
    """As without --forecast: one line and exit code 1."""
    done = forecast(tmp_path / "nowhere.txt")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "nowhere.txt does not exist" in done.stderr
