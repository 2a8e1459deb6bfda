"""--keep N: the models of the last N evaluations, to talk to, to compare and to hand on."""

import json
from typing import Any

import pytest
from commands import tuillm

from tuillm import Sampler, Trainer
from tuillm.config import SamplingConfig
from tuillm.store.export_folder import export_model
from tuillm.store.run_checkpoints import resolve_model
from tuillm.store.run_folder import get_run

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=20, sample_tokens=0, eval_interval=4
)


@pytest.fixture
def run(book):
    Trainer(book, **QUICK, keep=2).run(quiet=True)
    return get_run("book-1")


def test_the_newest_are_kept(run):
    """Each is a model folder without the trainer's state; best and last are beside them."""
    assert sorted(path.name for path in run.path.glob("step-*")) == ["step-16", "step-20"]
    assert not list(run.path.glob("step-*/trainer.*")) and run.last.exists() and run.best.exists()
    last, kept = (
        (folder / "model.safetensors").read_bytes() for folder in (run.last, run.path / "step-20")
    )
    assert last == kept


def test_without_keep_there_are_none(book):
    """Best and last are enough for most."""
    Trainer(book, **QUICK).run(quiet=True)
    assert not list(get_run("book-1").path.glob("step-*"))


def test_a_checkpoint_has_a_name_wherever_a_model_is_named(run, tmp_path):
    """From Python: loaded, and exported as a folder."""
    greedy = SamplingConfig(temperature=0, max_new_tokens=8)
    text = "".join(token.text for token in Sampler("book-1/step-16").stream("the", greedy))
    assert resolve_model("book-1/step-16").name == "book-1/step-16"
    export_model("book-1/step-16", tmp_path / "out")
    assert "".join(t.text for t in Sampler(tmp_path / "out").stream("the", greedy)) == text


@pytest.mark.slow
def test_by_the_command_line(run, tmp_path):
    """generate, compare, eval and export; one that is not there is told in a line."""

    said = tuillm("generate", "book-1/step-16", "-p", "the", "--max-new-tokens", "8")
    assert said.returncode == 0 and said.stdout, said.stderr
    compared = tuillm("compare", "book-1/step-16", "book-1/step-20", "-p", "the", "--json")
    assert compared.returncode == 0, compared.stderr
    assert "book-1/step-16" in compared.stdout and json.loads(compared.stdout)
    for to, name in (("hf", "folder"), ("gguf", "file.gguf")):
        done = tuillm("export", "book-1/step-16", str(tmp_path / name), "--to", to)
        assert done.returncode == 0 and (tmp_path / name).exists(), done.stderr
    missing = tuillm("generate", "book-1/step-3", "-p", "the")
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1, missing.stderr
