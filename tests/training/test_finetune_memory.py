"""Memory told before the start: what gives way by itself, what is refused, and in which words."""

from dataclasses import replace

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.config.model_shape import ModelShape
from tuillm.errors import TuillmError
from tuillm.model import GPT
from tuillm.model.lora import add_lora
from tuillm.store.registry import shape_of
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.auto_settings import adapter_parameters, disk_needed
from tuillm.training.forecast.static import look
from tuillm.training.forecast.warnings import cautions
from tuillm.training.memory_plan import check_fits, plan_memory

GB = 10**9
XL = GPTConfig(50257, 1024, 48, 25, 1600)
SMALL = GPTConfig(50257, 1024, 12, 12, 768)


def as_shape(shape):
    """What the registry would tell of a model of this shape."""
    return lambda name: ModelShape(
        init_from=name,
        arch=shape.family,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        block_size=shape.block_size,
        vocab_size=shape.vocab_size,
        tie_weights=True,
        tokenizer="gpt2",
    )


def planned(shape, available, **settings):
    config = build_train({"init_from": "gpt2-xl"} | settings, shape_of=as_shape(shape))
    return config, plan_memory(
        config, shape, config.block_size, 10**6, 30_000, shape.parameter_count, available
    )


def test_a_machine_too_small_is_told_what_to_do():
    """Full fine-tuning of gpt2-xl on 25 GB is refused with both figures, and LoRA offered."""
    config, plan = planned(XL, 22 * GB)
    with pytest.raises(TuillmError) as caught:
        check_fits(config, plan, 25 * GB)
    words = str(caught.value)
    assert "full fine-tuning of gpt2-xl needs about" in words and "this machine has 25 GB" in words
    assert "use --lora, which needs about" in words and "\n" not in words
    lora_config, lora = planned(XL, 22 * GB, lora=True)
    check_fits(lora_config, lora, 16 * GB)
    assert plan.needed > 28 * GB and lora.needed == plan.with_lora < 14 * GB


def test_where_it_might_just_fit_it_is_a_caution():
    """What is above the free memory but not beyond hope is said before the start, not refused."""
    config, plan = planned(XL, 28 * GB)
    check_fits(config, plan, 30 * GB)
    seen = Forecast(
        memory=plan.parts,
        memory_needed=plan.needed,
        memory_available=28 * GB,
        memory_with_lora=plan.with_lora,
    )
    (said,) = cautions(config, seen)
    assert said.startswith("full fine-tuning of gpt2-xl needs about")
    assert "of memory and 28 GB are free: use --lora, which needs about" in said
    assert cautions(config, replace(seen, memory_available=90 * GB)) == ()


def test_blocks_are_computed_again_only_where_memory_asks_for_it():
    """Unasked where it would not fit otherwise, and as it is set where it is set."""
    wide = dict(batch_size=16, block_size=1024)
    _, roomy = planned(SMALL, 64 * GB, **wide)
    _, tight = planned(SMALL, 12 * GB, **wide)
    assert (roomy.recompute, roomy.note) == (False, "")
    assert tight.recompute and "blocks are computed again" in tight.note
    assert tight.parts["activations"] < 0.3 * roomy.parts["activations"]
    _, set_on = planned(SMALL, 64 * GB, grad_checkpoint=True)
    config, set_off = planned(SMALL, 8 * GB, grad_checkpoint=False, **wide)
    assert (set_on.recompute, set_on.note) == (True, "")
    assert (set_off.recompute, set_off.note) == (False, "")
    with pytest.raises(TuillmError, match="leave out --no-grad-checkpoint"):
        check_fits(config, replace(set_off, with_lora=None), GB)


@pytest.mark.parametrize("targets", ["c_attn", "attn.c_proj,c_fc", "all"])
def test_adapters_are_counted_without_a_model(targets):
    """The formula equals what learns in a real model."""
    import torch

    config = build_train(
        {"init_from": "x", "lora": True, "lora_targets": targets, "lora_rank": 3},
        shape_of=as_shape(SMALL),
    )
    shape = GPTConfig(50, 8, 3, 2, 32)
    model = GPT(shape)
    add_lora(model, 3, 1.0, config.lora_targets, torch.Generator())
    learning = sum(value.numel() for value in model.parameters() if value.requires_grad)
    assert adapter_parameters(shape, config) == learning


def test_the_forecast_knows_of_lora(model, book):
    """With LoRA a run needs less memory and disk, which is said before the start."""
    settings = {"corpus": str(book), "init_from": model, "max_steps": 5}
    config = build_train(settings, shape_of=shape_of)
    full = look(config)
    lora = look(build_train(settings | {"lora": True}, shape_of=shape_of))
    assert full.memory_with_lora == lora.memory_needed < full.memory_needed
    assert lora.disk_needed < full.disk_needed == disk_needed(config, full.parameters)
    assert lora.memory_with_lora is None and not lora.recompute
    set_on = look(build_train(settings | {"grad_checkpoint": True}, shape_of=shape_of))
    assert set_on.recompute and set_on.memory["activations"] < full.memory["activations"]


def test_a_run_that_cannot_fit_says_so_before_it_begins(model, book, monkeypatch):
    """The trainer refuses in one line what the system would otherwise kill."""
    monkeypatch.setattr("tuillm.training.init_model.memory_of", lambda device: (10**8, 10**8))
    with pytest.raises(TuillmError, match="full fine-tuning of book needs about"):
        Trainer(book, init_from=model, max_steps=2).prepare()


def test_a_run_that_may_not_fit_begins_with_a_word_of_it(model, book, monkeypatch):
    """Too little is free just now, though there is more: the run starts, and says so."""
    monkeypatch.setattr("tuillm.training.init_model.memory_of", lambda device: (10**8, 10**11))
    trainer = Trainer(book, init_from=model, max_steps=2)
    trainer.prepare()
    (said,) = [note for note in trainer.notes if "are free" in note]
    assert said.startswith("full fine-tuning of book needs about") and "100 MB are free" in said
    assert trainer.model.recompute


def test_a_run_computes_again_where_it_is_told(model, book):
    """Every step of a run is the same with blocks computed again, dropout and all."""
    losses = []
    for again in (False, True):
        trainer = Trainer(
            book,
            init_from=model,
            max_steps=4,
            sample_tokens=0,
            dropout=0.2,
            dtype="float32",
            grad_checkpoint=again,
        )
        losses.append([step.train_loss for step in trainer.steps()])
        assert trainer.model.recompute is again
    assert losses[0] == losses[1]
