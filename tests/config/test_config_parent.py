"""Settings of a run that starts from a model: whose shape, which preset, which rate."""

import pytest
from model_shapes import shapes

from tuillm.config import PRESETS, TrainConfig, build_train, settings_of
from tuillm.errors import UsageError

shape_of = shapes(width=256, context=128)


def build(typed, file=None):
    return build_train(typed, file, shape_of)


@pytest.mark.parametrize("layer", ["typed", "file"])
def test_a_parent_brings_its_shape_and_a_recipe(layer):
    """With a model to start from, typed or in a file, the shape is its own, the preset finetune."""
    layers = {"typed": {}, "file": {}} | {layer: {"init_from": "old"}}
    config = build(layers["typed"], layers["file"])
    assert (config.init_from, config.preset, config.optimizer) == ("old", "finetune", "adamw")
    assert (config.n_layer, config.n_head, config.n_embd, config.block_size) == (5, 4, 256, 128)
    assert (config.tokenizer, config.vocab_size) == ("bpe", None)


@pytest.mark.parametrize("layer", ["typed", "file"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_that_sets_a_shape_is_refused(preset, layer):
    """Two shapes were named, the preset's and the model's: nobody knows which is wanted."""
    layers = {"typed": {"init_from": "old"}, "file": {}}
    layers[layer]["preset"] = preset
    if preset == "finetune":
        assert build(layers["typed"], layers["file"]).n_embd == 256
        return
    with pytest.raises(UsageError, match=f"preset '{preset}' says what shape.*or say finetune"):
        build(layers["typed"], layers["file"])


@pytest.mark.parametrize(
    ("typed", "rate"),
    [
        ({"init_from": "old"}, 1.5e-4),
        ({"init_from": "gpt2"}, 5e-5),
        ({"init_from": "gpt2", "learning_rate": 2e-3}, 2e-3),
        ({"preset": "finetune"}, 3e-4),
    ],
    ids=str,
)
def test_the_rate_falls_with_the_width(typed, rate):
    """Wide models are tuned gently, down to 5e-5 for GPT-2; what was typed holds."""
    assert build(typed).learning_rate == rate


def test_no_more_than_the_model_has():
    """Windows may be shorter than the context, and not longer."""
    assert build({"init_from": "old", "block_size": 50}).block_size == 50
    with pytest.raises(UsageError, match="block_size cannot be 129: the model 'old' has 128"):
        build({"init_from": "old"}, {"block_size": 129})


def test_unasked_nobody_looks_for_a_model():
    """Without the means to look, the name is kept for the worker, and no shape of a preset."""
    config = build_train({"init_from": "old"})
    assert (config.init_from, config.n_layer, config.tokenizer) == ("old", 4, "auto")
    assert build({}).init_from is None


def test_an_option_may_have_another_name():
    """The command line calls init_from --from, and all others by their names."""
    flags = {row.name: row.flag for row in settings_of(TrainConfig)}
    assert (flags["init_from"], flags["n_layer"]) == ("--from", "--n-layer")
    (row,) = [row for row in settings_of(TrainConfig) if row.name == "init_from"]
    assert row.words(row.default) == "none"
