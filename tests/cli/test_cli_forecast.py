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


# a device that is not here: no text, no torch, no model

HERE_NOT = ("--device-kind", "h100", "--preset", "gpt2")


def test_a_cluster_is_forecast_without_text_and_without_torch(home):
    """Words are aligned, and nothing is written."""
    several = ("--nproc", 8, "--nnodes", 2, "--tokens", "9B", "--epochs", 1, "--batch-size", 64)
    done = forecast(*HERE_NOT, *several)
    assert done.returncode == 0 and done.stderr == ""
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == [
        *("device", "model", "batch", "memory", "sent", "compute", "step", "speed", "run", "loss"),
        "note",
    ]
    assert lines["device"].startswith("2 nodes of 8 x (DDP) H100 SXM 80 GB, 989.4 TFLOPS in bf")
    assert "933 MB a step by each GPU" in lines["sent"] and "17,167 steps" in lines["run"]
    assert {line[8] for line in done.stdout.splitlines()} == {" "} and not home.exists()


def test_a_cluster_is_forecast_for_programs():
    """One object, with the figures that the words have."""
    done = forecast(*HERE_NOT, "--shard", "--nproc", 8, "--tokens", "1.5b", "--json-lines")
    (line,) = done.stdout.splitlines()
    seen = json.loads(line)
    assert (seen["stage"], seen["ranks"], seen["tokens"]) == ("cluster", 8, 1_500_000_000)
    assert seen["sent"].keys() == {"weights", "gradients"} and seen["shard"]
    assert seen["memory_needed"] == sum(seen["memory"].values())
    assert seen["step_seconds"] == seen["compute_seconds"] + seen["communication_seconds"]


def test_the_tokens_of_a_text_are_counted(book):
    """Where there is one: the same forecast as of its number of tokens and entries."""
    done = forecast(book, "--preset", "nano", "--device-kind", "RTX-4090", "--json-lines")
    seen = json.loads(done.stdout)
    assert seen["device_kind"] == "rtx4090" and 5_000 < seen["tokens"] < 30_000
    assert seen["steps"] == 80


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("--device-kind", "b9"), "unknown device kind 'b9' (kinds: a100, a100-40gb, h100, h200,"),
        (("--device-kind", "h10"), "did you mean 'h100'?"),
        ((*HERE_NOT, "--nnodes", "0"), "--nnodes cannot be 0 (allowed: 1 <= whole number <= "),
        ((*HERE_NOT, "--tokens", "x"), "--tokens cannot be 'x' (allowed: 2 to 1000T"),
        ((*HERE_NOT, "--tokens", "9X"), "--tokens cannot be '9X'"),
        ((*HERE_NOT, "--tokens", "0"), "--tokens cannot be 0"),
        ((*HERE_NOT,), "no text is given (name one, or say how many it has: --tokens 9B)"),
        ((*HERE_NOT, "x.txt", "--tokens", "9B"), "--tokens stands for a text that is not here"),
        (("--tokens", "9B"), "--tokens needs a kind of device (add --device-kind h100, say)"),
        (("--nnodes", "2"), "--nnodes needs a kind of device"),
        (("--device-kind", "h100", "--tokens", "9B"), "add --tokenizer gpt2, --vocab-size N"),
        ((*HERE_NOT, "--tokens", "9B", "--nproc", "8", "--nnodes", "9"), "72 ranks, more than"),
        ((*HERE_NOT, "--tokens", "9B", "--device", "cpu"), "device cpu is none of the kinds"),
    ],
)
def test_what_no_cluster_can_be_is_one_line(typed, told):
    """The value, what is allowed, and what to type."""
    done = forecast(*typed)
    assert done.returncode == 2 and done.stdout == ""
    assert told in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("option", [("--nnodes", "2"), ("--device-kind", "h100"), ("--tokens", 9)])
def test_its_options_start_nothing(book, home, option):
    """They are of the forecast alone; on a cluster one uses torchrun."""
    words = [sys.executable, "-m", "tuillm", "train", book, *map(str, option)]
    done = subprocess.run(words, text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and f"{option[0]} is about a forecast" in done.stderr
    assert ("torchrun --nnodes N" in done.stderr) == (option[0] == "--nnodes")
    assert not home.exists()
