"""Settings of LoRA and of wide models: what they bring to a recipe, and what holds over them."""

from dataclasses import replace

import pytest
from model_shapes import shapes

from tuillm.config import TrainConfig, build_train
from tuillm.config.check_setting import check_setting
from tuillm.config.training_presets import LORA_RATE
from tuillm.errors import UsageError

shape_of = shapes(width=128, context=64)


def build(**typed):
    return build_train(typed, None, shape_of)


def test_wide_models_learn_from_a_thousand_tokens_a_step():
    """GPT-2's context would make steps of 8,192 tokens; what was typed holds."""
    config = build(init_from="gpt2")
    assert (config.batch_size, config.block_size) == (4, 256)
    assert build(init_from="gpt2", block_size=1024).block_size == 1024
    assert build(init_from="gpt2", batch_size=7).batch_size == 7
    narrow = build(init_from="old")
    assert (narrow.batch_size, narrow.block_size) == (8, 64)


def test_adapters_bring_their_rate():
    """It falls with the width, and any preset takes it; what was typed or set in a file holds."""
    assert build(init_from="old", lora=True).learning_rate == LORA_RATE
    assert build(init_from="gpt2", lora=True).learning_rate == pytest.approx(LORA_RATE / 6)
    assert build(init_from="old", lora=True, learning_rate=0.1).learning_rate == 0.1
    in_file = build_train({"init_from": "old"}, {"lora": True, "weight_decay": 0.3}, shape_of)
    assert (in_file.learning_rate, in_file.weight_decay) == (LORA_RATE, 0.3)
    assert build(init_from="old", lora=True, preset="finetune").optimizer == "adamw"
    assert build_train({"init_from": "old", "lora": True}).learning_rate == LORA_RATE


@pytest.mark.parametrize(
    ("typed", "targets"),
    [
        ("c_attn", ("c_attn",)),
        ("c_fc, mlp.c_proj", ("c_fc", "mlp.c_proj")),
        (("c_fc", "c_attn,c_fc"), ("c_fc", "c_attn")),
        ("all", ("c_attn", "attn.c_proj", "c_fc", "mlp.c_proj")),
    ],
    ids=str,
)
def test_targets_may_be_divided_by_commas(typed, targets):
    """On the command line, in a form and in a file they are understood alike."""
    assert build(init_from="old", lora=True, lora_targets=typed).lora_targets == targets
    alone = check_setting(TrainConfig, "lora_targets", typed)
    assert alone == (("all",) if typed == "all" else targets)


@pytest.mark.parametrize("typed", ["c_proj", "", "c_attn,", (), 3, ["c_attn", 3]], ids=repr)
def test_targets_that_are_none(typed):
    """What names no layer is refused with the names there are."""
    with pytest.raises(UsageError, match="lora_targets cannot be.*allowed: c_attn or attn.c_proj"):
        build(init_from="old", lora=True, lora_targets=typed)


def test_targets_follow_the_family_of_the_model():
    """Nothing typed is the family's usual ones; names of another family are none."""

    def of_family(name):
        return replace(shape_of(name), arch=name)

    def build_of(name, **typed):
        return build_train(dict(init_from=name, lora=True) | typed, None, of_family)

    every = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert build_of("gpt2").lora_targets == ("c_attn",)
    assert build_of("gpt2", lora_targets="auto").lora_targets == ("c_attn",)
    for family in ("llama", "qwen2", "qwen3"):
        assert build_of(family).lora_targets == every
        assert build_of(family, lora_targets="all").lora_targets == every
        assert build_of(family, lora_targets="q_proj, v_proj").lora_targets == ("q_proj", "v_proj")
        with pytest.raises(UsageError, match=f"'c_attn' .allowed: q_proj or .*, in a {family}"):
            build_of(family, lora_targets="q_proj,c_attn")


def test_no_more_is_dropped_than_a_model_was_trained_with():
    """Llama and its kin know no dropout, and lose their language by it; what was typed holds."""

    def of_llama(name):
        return replace(shape_of(name), arch="llama")

    assert build(init_from="old").dropout == 0.1
    for lora in (True, False):
        typed = {"init_from": "old", "lora": lora}
        assert build_train(typed, None, of_llama).dropout == 0.0
        assert build_train(typed | {"dropout": 0.2}, None, of_llama).dropout == 0.2


def test_settings_of_lora_without_it_are_refused():
    """What is typed and would do nothing is told; a file may hold both and be overruled."""
    for typed in ({"lora_rank": 4}, {"init_from": "old", "lora_targets": "all", "lora": False}):
        with pytest.raises(UsageError, match="is about LoRA, which is off"):
            build(**typed)
    file = {"init_from": "old", "lora": True, "lora_rank": 4}
    assert not build_train({"lora": False}, file).lora
