"""How layers of settings become one config, and how a refused value is worded."""

import json

import pytest

from tuillm.config import (
    PRESETS,
    SamplingConfig,
    TrainConfig,
    build_sampling,
    build_train,
    read_toml,
)
from tuillm.errors import UsageError


def test_each_layer_overrides_the_one_below():
    """Defaults give way to the preset, the preset to the file, the file to what was typed."""
    preset = PRESETS["small"].settings
    assert build_train({"preset": "small"}).block_size == preset["block_size"] == 128
    assert build_train({"preset": "small"}).weight_decay == 0.1
    assert build_train({"preset": "small"}, {"block_size": 99}).block_size == 99
    assert build_train({"preset": "small", "block_size": 77}, {"block_size": 99}).block_size == 77


def test_the_file_names_a_preset_unless_one_was_typed():
    """A file may choose the preset, and what was typed chooses over the file."""
    assert build_train({}, {"preset": "small"}).preset == "small"
    assert build_train({}, {"preset": "small"}).n_embd == 192
    assert build_train({"preset": "nano"}, {"preset": "small"}).n_embd == 48


def test_nothing_typed_is_the_tiny_preset():
    """Without any layer the default preset holds."""
    assert build_train({}).preset == "tiny"
    assert build_train({}) == build_train({"preset": "tiny"})


@pytest.mark.parametrize(
    ("preset", "typed", "steps", "minutes"),
    [
        ("tiny", {"max_steps": 100}, 100, None),
        ("nano", {"minutes": 2}, None, 2.0),
        ("tiny", {"max_steps": 100, "minutes": 3}, 100, 3.0),
        ("tiny", {}, None, 1.0),
    ],
)
def test_typing_one_limit_drops_the_other_of_the_preset(preset, typed, steps, minutes):
    """Who types only steps means steps, who types only minutes means minutes."""
    config = build_train(typed | {"preset": preset})
    assert (config.max_steps, config.minutes) == (steps, minutes)


def test_a_typed_limit_also_drops_the_other_of_the_file():
    """The file's minutes no longer hold when steps were typed."""
    config = build_train({"max_steps": 5}, {"minutes": 9})
    assert (config.max_steps, config.minutes) == (5, None)


@pytest.mark.parametrize("layer", ["typed", "file"])
@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_a_tokenizer_without_a_size_drops_the_size_of_the_preset(layer, kind):
    """Another tokenizer over the preset `heart` does not inherit the size of its bpe vocabulary."""
    layers = {"typed": {"preset": "heart"}, "file": {}}
    layers[layer]["tokenizer"] = kind
    config = build_train(layers["typed"], layers["file"])
    assert (config.tokenizer, config.vocab_size) == (kind, None)


def test_typing_bpe_keeps_the_size_in_the_file():
    """The vocabulary size of the file still holds when the tokenizer it belongs to is typed."""
    assert build_train({"tokenizer": "bpe"}, {"vocab_size": 2048}).vocab_size == 2048


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("lerning_rate", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("nlayer", "n_layer"),
        ("MAX_STEPS", "max_steps"),
    ],
)
@pytest.mark.parametrize("layer", ["typed", "file"])
def test_an_unknown_key_names_the_nearest(key, nearest, layer):
    """A misspelt key, typed or in the file, is refused with the setting it resembles."""
    layers = ({key: 1}, None) if layer == "typed" else ({}, {key: 1})
    with pytest.raises(UsageError) as caught:
        build_train(*layers)
    assert repr(key) in caught.value.message
    assert repr(nearest) in caught.value.hint


def test_a_key_like_no_other_says_where_all_are_listed():
    """A key that resembles nothing is answered with the command that lists the settings."""
    with pytest.raises(UsageError) as caught:
        build_train({"zzzzzz": 1})
    assert "--help" in caught.value.hint


def test_an_unknown_preset_names_the_nearest():
    """A misspelt preset is refused with the preset it resembles."""
    with pytest.raises(UsageError, match="unknown preset 'smal'") as caught:
        build_train({"preset": "smal"})
    assert "'small'" in caught.value.hint


def test_a_preset_like_no_other_gets_the_whole_list():
    """A preset that resembles nothing is answered with all presets."""
    with pytest.raises(UsageError) as caught:
        build_train({"preset": "qqqqqq"})
    assert all(name in caught.value.hint for name in PRESETS)


@pytest.mark.parametrize("value", [["tiny"], 3, {"name": "tiny"}])
def test_a_preset_that_is_no_word_is_refused(value):
    """A list, number or table as preset, as TOML can hold, is a usage error."""
    with pytest.raises(UsageError, match="unknown preset"):
        build_train({}, {"preset": value})


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"n_embd": 100, "n_head": 3}, ["n_embd 100", "n_head 3"]),
        ({"max_steps": -5}, ["max_steps", "-5", "1 <= whole number"]),
        ({"min_lr": 0.5, "learning_rate": 0.1}, ["min_lr 0.5", "learning_rate 0.1"]),
        ({"vocab_size": 500, "tokenizer": "char"}, ["vocab_size 500", "bpe", "char"]),
        ({"vocab_size": 259}, ["vocab_size", "259", "260 <= whole number <= 65536"]),
        ({"val_fraction": 0.6}, ["val_fraction", "0.6", "0 <= number <= 0.5"]),
        ({"dropout": 1}, ["dropout", "1", "0 <= number < 1"]),
        ({"learning_rate": 0}, ["learning_rate", "0", "0 < number <= 1"]),
        ({"learning_rate": float("nan")}, ["learning_rate", "nan", "0 < number <= 1"]),
        ({"n_layer": 2.5}, ["n_layer", "2.5", "0 <= whole number <= 96"]),
        ({"n_layer": "many"}, ["n_layer", "'many'", "whole number"]),
        ({"tokenizer": "word"}, ["tokenizer", "'word'", "auto or char or bpe or gpt2"]),
        ({"bias": "perhaps"}, ["bias", "'perhaps'", "true or false"]),
        ({"warmup_steps": 20, "max_steps": 10}, ["warmup_steps 20", "max_steps 10"]),
        ({"max_steps": None}, ["max_steps", "minutes"]),
    ],
)
def test_a_refused_training_value_names_value_and_range(typed, words):
    """A value out of its range is one line with the value and what is allowed, exit code 2."""
    with pytest.raises(UsageError) as caught:
        build_train(typed)
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in told
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"top_p": 2}, ["top_p", "2", "0 < number <= 1"]),
        ({"top_p": 0}, ["top_p", "0", "0 < number <= 1"]),
        ({"temperature": -1}, ["temperature", "-1", "0 <= number <= 10"]),
        ({"max_new_tokens": 0}, ["max_new_tokens", "0", "1 <= whole number"]),
        ({"repetition_penalty": 0}, ["repetition_penalty", "0", "0 < number <= 10"]),
        ({"top_q": 1}, ["'top_q'", "did you mean"]),
    ],
)
def test_a_refused_sampling_value_names_value_and_range(typed, words):
    """Sampling settings are refused in the same words as training settings."""
    with pytest.raises(UsageError) as caught:
        build_sampling(typed)
    assert caught.value.exit_code == 2
    assert [word for word in words if word not in str(caught.value)] == []


def test_sampling_is_laid_over_a_base():
    """What is typed changes the base it is laid over and nothing else."""
    base = SamplingConfig(temperature=0.5, top_k=7)
    assert build_sampling({"top_k": 9}, base) == SamplingConfig(temperature=0.5, top_k=9)
    assert build_sampling({}) == SamplingConfig()


@pytest.mark.parametrize(
    ("given", "held"), [("END", ("END",)), (["a", "", "b"], ("a", "b")), ("", ()), ((), ())]
)
def test_a_stop_text_may_stand_alone_and_is_never_empty(given, held):
    """One text is a list of one, and empty texts, which would end every reply, are dropped."""
    assert build_sampling({"stop": given}).stop == held


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds(name):
    """Each preset fits its own limits, and says for whom it is."""
    config = build_train({"preset": name})
    assert config.preset == name
    assert {key: getattr(config, key) for key in PRESETS[name].settings} == PRESETS[name].settings
    assert PRESETS[name].help


def test_a_single_path_is_a_corpus_of_one(tmp_path):
    """A path alone, as text or as a Path, stands for a list of one."""
    assert build_train({"corpus": "a.txt"}).corpus == ("a.txt",)
    assert build_train({"corpus": tmp_path / "b.txt"}).corpus == (str(tmp_path / "b.txt"),)
    assert build_train({"corpus": ["a", "b"]}).corpus == ("a", "b")


@pytest.mark.parametrize("name", PRESETS)
def test_a_training_config_survives_json(name):
    """What is written to run.json reads back as an equal config."""
    config = build_train({"preset": name, "corpus": ["книга.txt", "b.txt"], "sample_prompt": "«\n"})
    back = TrainConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert back == config


def test_a_config_cannot_be_changed():
    """A config is frozen: nobody turns a knob behind the run folder's back."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(build_train({}), "seed", 2)  # noqa: B010  (mypy would see it before)


def test_a_toml_file_is_read(tmp_path):
    """The settings of a TOML file arrive with their types."""
    path = tmp_path / "mine.toml"
    path.write_text('preset = "nano"\nn_layer = 3\nlearning_rate = 1e-3\n', encoding="utf-8")
    assert build_train({}, read_toml(path)).n_layer == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n_layer = = 3", "is not valid TOML"),
        (b'name = "\xff\xfe"', "is not valid TOML"),
        (None, "No such file"),
    ],
)
def test_an_unreadable_toml_file_is_a_usage_error(tmp_path, content, words):
    """A missing or malformed file is named in one line, exit code 2."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_toml(path)
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_toml_file(tmp_path):
    """Naming a folder as the config file is a usage error."""
    with pytest.raises(UsageError, match="directory"):
        read_toml(tmp_path)


@pytest.mark.parametrize("value", ["auto", None])
def test_auto_may_be_typed_where_help_shows_it(value):
    """It leaves a setting to be decided later, over what a preset or a file says."""
    config = build_train(
        {"dropout": value, "eval_interval": value, "vocab_size": value},
        {"preset": "tiny", "eval_interval": 7, "grad_checkpoint": "auto"},
    )
    assert (config.dropout, config.eval_interval, config.vocab_size) == (None, None, None)
    assert config.grad_checkpoint is None and build_train({"name": "auto"}).name == "auto"
    with pytest.raises(UsageError, match="n_layer cannot be 'auto'"):
        build_train({"n_layer": "auto"})
