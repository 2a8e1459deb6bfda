"""The declarations themselves: what front ends read of each setting."""

import pytest

from tuillm.config import SamplingConfig, TrainConfig, settings_of, settings_table

CONFIGS = [TrainConfig, SamplingConfig]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_setting_has_a_sentence_and_a_group(config):
    """No setting reaches a form or a help page without words and a place."""
    bare = [row.name for row in settings_of(config) if not row.help.strip() or not row.group]
    assert bare == []
    assert [row.name for row in settings_of(config)] == list(config.model_fields)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_table_lists_every_setting_once(config):
    """The table has one line a setting with its sentence, under the heading of its group."""
    lines = settings_table(config).split("\n")
    for row in settings_of(config):
        found = [line for line in lines if line.split()[:1] == [row.name] and row.help in line]
        assert len(found) == 1, row.name
        assert row.group in lines[: lines.index(found[0])]


@pytest.mark.parametrize(
    ("name", "kind", "range", "default", "optional"),
    [
        ("n_layer", int, "0 <= whole number <= 96", "4", False),
        ("dropout", float, "0 <= number < 1", "auto", True),
        ("bias", bool, "", "no", False),
        ("minutes", float, "0 < number <= 100000", "auto", True),
        ("encoding", str, "", "'auto'", False),
    ],
)
def test_a_declaration_reads_back_as_a_plain_record(name, kind, range, default, optional):
    """Type, range, default and optionality come out of the one declaration."""
    row = next(row for row in settings_of(TrainConfig) if row.name == name)
    assert (row.type, row.range, row.words(row.default), row.optional) == (
        kind,
        range,
        default,
        optional,
    )


def test_choices_and_lists_are_told_apart():
    """A choice lists its words as texts; a list says that it takes several."""
    rows = {row.name: row for row in settings_of(TrainConfig)}
    assert rows["tokenizer"].choices == ("auto", "char", "bpe", "gpt2")
    assert (rows["tokenizer"].type, rows["tokenizer"].several) == (str, False)
    assert (rows["corpus"].type, rows["corpus"].several) == (str, True)
    assert rows["corpus"].words(rows["corpus"].default) == "none"
