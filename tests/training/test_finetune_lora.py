"""A run with LoRA from start to end: what learns, what is published, how it is taken up again."""

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training.test_train_from_model import Stopping, history, story  # noqa: F401
from training.test_worker_process import no_worker_left, wait_for_end  # noqa: F401

from tuillm import Sampler, Trainer
from tuillm.config import build_train
from tuillm.errors import TuillmError, UsageError
from tuillm.model import read_model
from tuillm.store.process_id import this_process
from tuillm.store.registry import copy_model, find_model, get_model, remove_model, shape_of
from tuillm.store.run_folder import create_run, get_run, metric_rows
from tuillm.store.workers.launch import resume_run
from tuillm.training.runner import Runner

QUICK: dict[str, Any] = dict(
    init_from="book",
    lora=True,
    max_steps=12,
    sample_tokens=4,
    dtype="float32",
    eval_interval=4,
    patience=0,
    learning_rate=3e-3,
)


def weights_of(name):
    return load_file(find_model(name).path / "model.safetensors")


def test_what_is_published(model, story, transformers):  # noqa: F811
    """Only the target's weights have changed, by what the adapter beside them says.

    The folder is an ordinary model of the registry, and opens in transformers.
    """
    trained = Trainer(story, lora_rank=4, lora_alpha=6, **QUICK | {"max_steps": 40}).run()
    assert not trained.problem and trained.card.lora == "rank 4, alpha 6, on c_attn"
    assert (trained.card.origin, trained.card.parent) == ("fine-tuned", "book")
    assert trained.card.parameters == get_model("book").card.parameters
    before, after = weights_of("book"), weights_of("story")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"transformer.h.{layer}.attn.c_attn.weight" for layer in (0, 1)}
    adapter = load_file(trained.path / "adapter" / "adapter_model.safetensors")
    for layer in (0, 1):
        inner = f"h.{layer}.attn.c_attn"
        a, b = (
            adapter[f"base_model.model.transformer.{inner}.lora_{part}.weight"] for part in "AB"
        )
        name = f"transformer.{inner}.weight"
        torch.testing.assert_close(
            after[name], before[name] + 1.5 * (b @ a).t(), atol=1e-6, rtol=1e-6
        )
    status = get_run("story-1").status()
    assert status.before_bits_per_byte > status.bits_per_byte
    assert status.parameters == trained.card.parameters
    theirs = transformers.AutoModelForCausalLM.from_pretrained(trained.path).eval()
    idx = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            theirs(idx).logits, read_model(trained.path).eval()(idx), atol=1e-4, rtol=1e-4
        )


def test_the_model_is_kept_whole_in_the_registry(model, story):  # noqa: F811
    """Copied, exported sizes and all, the folder with its adapter is like any other."""
    Trainer(story, **QUICK).run()
    copy_model("story", "again")
    names = sorted(path.name for path in (get_model("again").path / "adapter").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    whole = sum(path.stat().st_size for path in get_model("story").path.rglob("*.*"))
    assert get_model("story").size == pytest.approx(whole, rel=0.01)
    assert Sampler("again").generate("The ", max_new_tokens=5, seed=1)
    config = json.loads((get_model("story").path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "book"
    assert not list((get_model("story").path).glob("trainer.*"))


@pytest.mark.slow
def test_resumed_is_undisturbed(model, story):  # noqa: F811
    """Stopped and resumed by another process, the run takes the very steps, its parent gone."""
    settings = (
        dict(corpus=str(story))
        | QUICK
        | dict(max_steps=120, eval_interval=40, lora_targets="c_attn,mlp.c_proj")
    )
    config = build_train(settings, shape_of=shape_of)
    expected = history(m.row() for m in Trainer(config=config).steps())
    run = create_run(config, this_process())
    Runner(Stopping(config=config), run).run()
    assert (run.status().state, run.status().step) == ("stopped", 1)
    stopped = read_model(run.last)
    assert stopped.config.n_layer == 2  # a model folder like any other
    remove_model("book")
    resume_run(run)
    assert wait_for_end(run).state == "finished" and history(metric_rows(run)) == expected
    assert run.status().before_loss is not None


@pytest.mark.slow
def test_an_extended_run_goes_on_exactly(model, story):  # noqa: F811
    """Finished and extended in another process, it goes on as one extended while it ran."""
    config = build_train(dict(corpus=str(story)) | QUICK, shape_of=shape_of)
    trainer, expected = Trainer(config=config), []
    for metrics in trainer.steps():
        if metrics.step == 12 and not trainer.extended_steps:
            trainer.extend(8)
        expected.append(metrics.row())
    run = create_run(config, this_process())
    Runner(Trainer(config=config), run).run()
    resume_run(run, extend=8)
    assert wait_for_end(run).step == 20
    assert history(metric_rows(run)) == history(expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(lora=True), "lora needs a model to start from: --from MODEL"),
        (dict(lora=True, init_from="book", optimizer="muon"), "muon cannot train lora's adapters"),
        (
            dict(init_from="book", lora_targets="c_attm"),
            "lora_targets cannot be 'c_attm' (allowed: c_attn or attn.c_proj or c_fc or mlp.c_proj",
        ),
        (dict(init_from="book", lora_rank=0), "lora_rank cannot be 0"),
        (dict(init_from="book", lora_alpha=0), "lora_alpha cannot be 0"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_in_a_line(model, book, settings, words):
    """Settings of LoRA that do not fit are refused before anything is read."""
    with pytest.raises(UsageError) as caught:
        Trainer(book, **settings)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_model_without_layers_has_none_to_adapt(book):
    """A bigram model is told apart before the start."""
    Trainer(book, preset="bigram", name="pairs", max_steps=2, sample_tokens=0).run()
    with pytest.raises(TuillmError, match="lora needs layers to adapt"):
        Trainer(book, init_from="pairs", lora=True)


def test_the_preset_gives_way_to_what_adapters_need(model, book):
    """LoRA brings its optimizer and rate; what was typed holds."""
    config = Trainer(book, init_from="book", lora=True, preset="finetune").config
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("adamw", 6e-3, 0.0)
    assert Trainer(book, init_from="book", lora=True, learning_rate=1e-4).config.learning_rate == (
        1e-4
    )
    assert Trainer(book, init_from="book", lora=True, lora_targets="all").config.lora_targets == (
        "c_attn",
        "attn.c_proj",
        "c_fc",
        "mlp.c_proj",
    )
