"""Values of the wrong type or size, in TOML or in Python: each refused in one line by its name."""

import datetime

import pytest

from tuillm.config import TrainConfig, build_train, read_toml, settings_of
from tuillm.errors import UsageError

VALUES = [
    10**400,
    10**5000,
    -1,
    1.5,
    float("inf"),
    float("nan"),
    True,
    "x",
    "",
    [],
    [1],
    ["a", [2]],
    {},
    {"a": {"b": 1}},
    datetime.date(2026, 1, 2),
    None,
    b"x",
    [[[]]] * 3,
    "x" * 5000,
    1e308,
    5e-324,
    2**63,
    object(),
]
COUNTS = ("max_steps", "warmup_steps", "eval_interval", "patience", "grad_clip", "minutes", "seed")


@pytest.mark.parametrize("name", [setting.name for setting in settings_of(TrainConfig)])
@pytest.mark.parametrize("layer", ["file", "typed"])
def test_a_wrong_value_is_one_line(name, layer):
    """No value of any setting ends in anything but a config or a short UsageError."""
    for value in VALUES:
        for others in ({}, {"preset": "gpt2"}, {"max_steps": 5}):
            layers = {"file": {}, "typed": {}} | {layer: others | {name: value}}
            try:
                build_train(layers["typed"], layers["file"])
            except UsageError as error:
                assert "\n" not in str(error) and len(str(error)) < 250


@pytest.mark.parametrize("name", COUNTS)
def test_what_counts_is_bounded(name):
    """A number beyond every run is refused with what is allowed."""
    for value in (10**19, 10**400, 10**5000, 1e308):
        with pytest.raises(UsageError, match=f"{name} cannot be .*allowed: "):
            build_train({}, {"max_steps": 5, "minutes": 1, name: value})


@pytest.mark.parametrize(
    "text",
    [
        "max_steps = " + "9" * 5000,
        "x = " + "[" * 50_000,
        "max_steps = 1e",
        "\x00",
        "[max_steps]\nx = 1",
        "max_steps = 2026-01-02",
        "learning_rate = [inf]",
        "corpus = [1, 2]",
        "min_lr = {a = 1}",
        "minutes = inf",
        "minutes = nan",
        "preset = ['tiny']",
        "init_from = 1979-05-27",
    ],
)
def test_a_toml_file_of_wrong_types(tmp_path, text):
    """A file that is no TOML, or holds what no setting takes, is refused in one line."""
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        build_train({}, read_toml(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
