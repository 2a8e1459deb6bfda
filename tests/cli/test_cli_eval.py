"""`tuillm eval`: the figures of transformers, one table, bad input in one line."""

import json
import math
import subprocess
import sys

import pytest
import torch
from pytest import approx

TEXT = "Dry feet and a short road. " * 30 + "Қазақ тілі. 🐐"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def tuillm(*arguments, code=0):
    """What a command printed on stdout, or on stderr when it was to fail."""
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@torch.no_grad()
def reference(transformers, folder, stride=None):
    """Nats and count of TEXT's tokens by transformers, each counted in the first window with it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor(tokenizer(TEXT)["input_ids"])
    T, end, nats = model.config.n_positions, len(ids) - 1, 0.0
    stride, covered, start = stride or T, 0, 0
    while covered < end:
        if start + T > end and stride < T:
            start = max(0, end - T)
        stop = min(start + T, end)
        logprobs = model(ids[None, start:stop]).logits[0].log_softmax(-1)
        for place in range(covered, stop):
            nats -= float(logprobs[place - start, ids[place + 1]])
        covered, start = stop, start + stride
    return nats, end


@pytest.mark.everyday(1)
@pytest.mark.parametrize("stride", [None, 5, 31, 1000])
def test_figures_are_those_of_transformers(transformers, model, home, text, stride):
    """Loss, perplexity and bits per byte equal a plain computation, windows overlapping or not."""
    options = ["--stride", stride] if stride else []
    (found,) = json.loads(tuillm("eval", model, text, "--json", *options))
    nats, count = reference(
        transformers, home / "models" / model, None if stride in (None, 1000) else stride
    )
    assert found["tokens"] == count
    assert found["nats_per_token"] == approx(nats / count, rel=1e-4)
    assert found["perplexity"] == approx(math.exp(nats / count), rel=1e-3)
    assert found["bytes"] == len(TEXT.encode())


@pytest.mark.slow
def test_several_models_make_a_table(model, home, text):
    """One row a model in the order typed; the same text twice gives the same figures."""
    lines = tuillm("eval", model, home / "models" / model, text).splitlines()
    assert lines[0].split()[:2] == ["model", "tokens"]
    first, second = (line.split() for line in lines[1:])
    assert first[:5] == second[:5] and first[0] == "book"


@pytest.mark.slow
def test_the_held_out_part_alone(model, text):
    """--val-fraction measures the end of the text only."""
    (found,) = json.loads(tuillm("eval", model, text, "--val-fraction", "0.25", "--json"))
    (whole,) = json.loads(tuillm("eval", model, text, "--json"))
    assert found["bytes"] == len(TEXT[int(len(TEXT) * 0.75) :].encode()) < whole["bytes"] / 3


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nix"], "wants a model and a text"),
        (["nix", "{text}"], "no model named 'nix'"),
        (["book", "missing.txt"], "does not exist"),
        (["book", "{text}", "--stride", "0"], "--stride cannot be 0"),
        (["book", "{text}", "--val-fraction", "0.9"], "0.9"),
        (["book", "{text}", "--dtype", "int3"], "int3"),
    ],
)
def test_bad_input_gets_one_line(model, text, arguments, words):
    """What cannot be measured is told in one line, with what to do."""
    typed = [each.format(text=text) for each in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", "eval", *typed], capture_output=True, text=True
    )
    assert done.returncode in (1, 2) and not done.stdout
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_characters_that_a_model_cannot_write_are_told_and_paid_for(home, text, tmp_path):
    """Of a text half in letters that a vocabulary lacks, the figure is no better than guessing."""
    from tuillm.model import GPT, GPTConfig, write_model
    from tuillm.text.new_tokenizer import tokenizer_of_characters

    letters = sorted(set("Dry feet and a short road. "))
    model = GPT(GPTConfig(vocab_size=len(letters), block_size=16, n_layer=0, n_head=1, n_embd=8))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    folder = tmp_path / "few"
    folder.mkdir()
    write_model(model, folder, None)
    tokenizer_of_characters(letters).save(folder, 16)
    known = "Dry feet and a short road. " * 20
    text.write_text(known + "Қ" * len(known), encoding="utf-8")
    (found,) = json.loads(tuillm("eval", folder, text, "--json"))
    assert (found["left_out"], found["left_out_bytes"]) == (len(known), 2 * len(known))
    assert found["nats_per_token"] == approx(math.log(len(letters)), rel=1e-4)
    bits = (math.log2(len(letters)) + 2 * 8) / 3
    assert found["bits_per_byte"] == approx(bits, rel=1e-2)
    told = tuillm("eval", folder, text)
    assert f"few: {len(known)} characters of the text measured cannot be written" in told
