"""tuillm bench by the command line: what is measured, told, and kept for the next time."""

import json

import pytest
from commands import tuillm

from tuillm.bench.bench_record import MEASURES


@pytest.mark.slow
def test_decoding_of_gpt2s_shape(home):
    """JSON has all of it; a second run shows what the first one came to."""
    words = ["--tokens", "2", "--rounds", "2", "--dtype", "float32,bfloat16"]
    first = tuillm("bench", *words, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    programs = [(each["program"], each["case"]) for each in told["results"]]
    kinds = ["float32", "bfloat16"]
    expected = [(name, kind) for name in ("tuillm", "transformers") for kind in kinds]
    assert programs[:4] == expected
    assert {each["measure"] for each in told["results"]} == {"decode"}
    assert told["machine"]["bandwidth"]
    assert len((home / "bench.jsonl").read_text().splitlines()) == 1
    second = tuillm("bench", *words)
    assert "before: " in second.stdout and "of limit" in second.stdout
    before = f"{told['results'][0]['value']:.1f}"
    line = next(each for each in second.stdout.splitlines() if each.startswith("tuillm "))
    assert line.endswith(before)


@pytest.mark.slow
def test_everything_of_a_model(model):
    """Each measure has a row of ours, beside programs that are always there."""
    done = tuillm("bench", model, "--all", "--rounds", "1", "--tokens", "4", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["results"]
    ours = [each["measure"] for each in rows if each["program"] == "tuillm"]
    assert sorted({*ours}) == sorted(MEASURES)
    assert {"transformers", "tiktoken", "tokenizers", "PyTorch loop", "python"} <= {
        each["program"] for each in rows
    }
    assert all(each["value"] > 0 for each in rows)
    shown = tuillm("bench", model, "--what", "start-up,tokenizer", "--rounds", "1", "--tokens", "4")
    tables = shown.stdout.split("\n\n")
    assert [table.splitlines()[0].split(":")[0] for table in tables[1:3]] == [
        "start-up of the process, to its end",
        "encoding text into token ids",
    ]
    assert "before: " in shown.stdout


def test_what_a_precision_costs(model, book):
    """`--quality TEXT` compares each precision with float32 on a text of one's own."""
    done = tuillm("bench", model, "--quality", book, "--dtype", "bfloat16", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    exact, short = told["quality"]
    assert told["results"] == []
    assert (exact["dtype"], exact["kl"], exact["top1"]) == ("float32", 0, 1)
    assert short["dtype"] == "bfloat16" and 0 < short["kl"] < 0.1 and 0.9 < short["top1"] <= 1
    assert short["tokens"] == exact["tokens"] > 1000


def test_a_context_that_is_too_short_is_refused(model):
    """Prompt and reply have to fit: who slides its window does other work than who cannot."""
    done = tuillm("bench", model, "--tokens", "900", "--no-peers")
    assert done.returncode != 0 and "context is too short" in done.stderr


@pytest.mark.slow
def test_what_there_is_none_of_is_refused():
    """In a line that says what there is."""
    for words, said in (
        (["--dtype", "int4"], "float32, bfloat16, int8"),
        (["--threads", "0"], "allowed: 1 to"),
        (["--rounds", "0"], "1 <= whole number"),
        (["--what", "speed"], "decode, prefill, first-token"),
        (["--what", "decode", "--all"], "--all measures everything"),
        (["--quality"], "tuillm bench MODEL --quality"),
        (["nobody"], "no model named 'nobody'"),
        (["nobody", "--quality", "/no/text.txt"], "/no/text.txt"),
    ):
        done = tuillm("bench", *words)
        assert done.returncode != 0 and said in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
