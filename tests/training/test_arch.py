"""A model trained from scratch with another family's blocks is a standard folder of that family."""

import json
from typing import Any

import pytest
from commands import tuillm
from training.test_resume_text import QUICK, go_on, stopped_run
from training.test_train_from_model import history

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.convert.compare_transformers import verify
from tuillm.errors import UsageError
from tuillm.model import read_config
from tuillm.store.registry import find_model
from tuillm.store.run_folder import list_runs, metric_rows

SMALL: dict[str, Any] = dict(
    n_layer=2, n_head=2, n_embd=48, block_size=32, sample_tokens=4, dtype="float32"
)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("arch", ["llama", "qwen3"])
def test_a_new_model_is_of_the_family(arch, book):
    """It learns, and transformers computes of its folder what we do."""
    Trainer(str(book), arch=arch, name="new", max_steps=40, **SMALL).run(quiet=True)
    losses = [row["train_loss"] for row in metric_rows(list_runs()[0])]
    assert losses[-1] < losses[0] - 1
    model = find_model("new")
    assert model.config["model_type"] == arch
    assert model.card.parameters == read_config(model.path).parameter_count
    checks = list(verify("new"))
    assert len(checks) == 5 and all(check.passed for check in checks), checks


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tokenizer, book):
    """Its context comes out of its checkpoint, and its steps are those of an undisturbed run."""
    settings = SMALL | dict(arch="llama", tokenizer=tokenizer, preset="tiny")
    run = stopped_run(book, **settings)
    assert go_on(run).state == "finished"
    config = build_train({"corpus": str(book)} | QUICK | settings)
    assert history(metric_rows(run)) == history(m.row() for m in Trainer(config=config).steps())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(positions="none"), "positions cannot be 'none': arch 'llama' has its own"),
        (dict(bias=True), "bias cannot be True: arch 'llama' has its own"),
        (dict(arch="qwen2"), "a new model cannot be a qwen2: qwen3 and llama can be"),
        (dict(preset="bigram"), "n_layer 0 makes none: set arch gpt2"),
        (dict(n_embd=30, n_head=2), "divided by n_head 2 is 15: an even width is wanted"),
    ],
)
def test_what_its_blocks_do_not_have_is_refused(settings, words, book):
    with pytest.raises(UsageError, match=words):
        build_train(dict(corpus=str(book), arch="llama") | settings)


def test_a_preset_for_gpt2_gives_up_its_biases(book):
    """A preset's biases and positions are not what a person has asked for."""
    config = build_train(dict(corpus=str(book), arch="qwen3", preset="gpt2"))
    assert (config.bias, config.positions, config.n_layer) == (False, "sinusoid", 12)


@pytest.mark.slow
def test_a_model_to_start_from_has_its_own(book):
    """The command says so; the run's settings name the family of the model."""
    done = tuillm("train", book, "--arch", "qwen3", "--preset", "nano", "--name", "a")
    assert done.returncode == 0, done.stderr
    done = tuillm("train", book, "--from", "a", "--arch", "gpt2")
    assert done.returncode != 0
    assert "arch cannot be 'gpt2': the model 'a' has 'qwen3'" in done.stderr
    done = tuillm("train", book, "--from", "a", "--max-steps", 2, "--name", "b")
    assert done.returncode == 0, done.stderr
    run = next(run for run in list_runs() if run.id.startswith("b"))
    assert json.loads((run.path / "run.json").read_text())["arch"] == "qwen3"
