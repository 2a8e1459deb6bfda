"""`tuillm verify`: what differs from transformers is found, what does not is not."""

import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from tuillm.convert.compare_transformers import verify


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tuillm", "verify", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.fixture
def tamper(home, model):
    """Change the tensors of the model `book`, or its files."""
    folder = home / "models" / model

    def change(what):
        tensors = load_file(folder / "model.safetensors")
        what(tensors, folder)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return {check.name: check.passed for check in verify(model)}

    return change


def test_a_trained_model_is_the_same_there(model, transformers):
    """A model of pieces passes every check, each in words."""
    checks = list(verify(model))
    assert [check.name for check in checks] == [
        "opens in transformers",
        "parameters",
        "token ids",
        "logits",
        "greedy text",
    ]
    assert all(check.passed for check in checks), checks
    assert all(check.found for check in checks)


def test_what_transformers_reads_otherwise_is_found(tamper, transformers, monkeypatch):
    """Were ours to miss a transpose, logits and text would tell."""
    from tuillm.model.family_weights import FamilyWeights

    kept = FamilyWeights.__getitem__

    def missed(weights, name):
        value = kept(weights, name)
        return value.T.contiguous() if name.endswith("attn.c_proj.weight") else value

    monkeypatch.setattr(FamilyWeights, "__getitem__", missed)
    found = tamper(lambda tensors, folder: None)
    assert found["parameters"] and found["token ids"] and not found["logits"]


def test_another_vocabulary_is_found(tamper, transformers, monkeypatch):
    """Ids that differ are told with the place where they begin to."""
    from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer

    encode = TiktokenTokenizer.encode
    monkeypatch.setattr(TiktokenTokenizer, "encode", lambda self, text: encode(self, text)[1:])
    found = tamper(lambda tensors, folder: None)
    assert not found["token ids"]


def test_a_folder_that_transformers_refuses(tamper, transformers):
    """Its words are the check's."""

    def break_it(tensors, folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"dtype": "float33"}))

    assert tamper(break_it) == {"opens in transformers": False}


def test_a_vocabulary_that_knows_nothing_of_the_text(model, transformers, monkeypatch):
    """Logits and greedy text are compared all the same."""
    monkeypatch.setattr("tuillm.convert.compare_transformers._known", lambda tokenizer: "")
    found = {check.name: check.passed for check in verify(model)}
    assert found["logits"] and found["greedy text"]


@pytest.mark.slow
def test_the_command(model):
    """One line a check, JSON for programs, and the exit code."""
    done = run(model, model)
    assert done.returncode == 0 and done.stdout.count("  ok  ") == 10, done.stderr
    told = json.loads(run(model, "--json").stdout)[model]
    assert {check["name"] for check in told} >= {"logits", "token ids"}
    assert all(check["passed"] for check in told)
    missing = run("bok")
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1
