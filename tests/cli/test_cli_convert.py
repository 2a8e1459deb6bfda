"""`tuillm import` and `tuillm export` as a person types them."""

import json

import pytest
from cli.test_cli_verbs import leftovers, one_line, tuillm
from click.testing import CliRunner

from tuillm.cli.main import tuillm as command
from tuillm.errors import TuillmError, UsageError


def typed(*arguments):
    """Run a command in this process and return what it printed; its errors are raised."""
    done = CliRunner().invoke(command, [*map(str, arguments)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_out_and_in_again(model, tmp_path):
    """A model goes out as hf and comes in again; both say what they did and what comes next."""
    out = tmp_path / "my book"
    assert typed("export", model, out) == f"exported book to {out}\n"
    assert (out / "README.md").exists()
    told = typed("import", out)
    assert f"imported {out} as my-book:" in told and told.endswith("tuillm verify my-book\n")
    assert "context 32, bpe vocabulary" in told
    shown = json.loads(typed("show", "my-book", "--json"))
    assert shown["origin"] == "imported" and shown["parameters"] > 10_000
    with pytest.raises(TuillmError, match="--replace"):
        typed("import", out)
    assert "as my-book:" in typed("import", out, "--replace")


def test_export_for_other_programs(model, tmp_path):
    """gguf writes a file and tells its limits, ollama says what to type next."""
    told = typed("export", model, tmp_path, "--to", "gguf")
    assert str(tmp_path / "book.gguf") in told and "32 positions" in told
    told = typed("export", model, tmp_path / "o", "--to", "ollama", "--dtype", "f16")
    assert f"ollama create book -f {tmp_path / 'o' / 'Modelfile'}" in told
    with pytest.raises(TuillmError, match="is there already"):
        typed("export", model, tmp_path, "--to", "gguf")
    with pytest.raises(UsageError, match="did you mean 'gguf'"):
        typed("export", model, tmp_path / "x", "--to", "ggfu")


@pytest.mark.slow
def test_what_cannot_come_in(home, book):
    """A text is no model: one line, and the registry stays empty."""
    assert "no model that tuillm reads" in one_line(tuillm("import", book))
    assert leftovers(home) == []


@pytest.mark.slow
def test_what_came_in_says_the_same(model, tmp_path):
    """Out, in again and asked in processes of its own, a model gives the text it gave before."""
    assert tuillm("export", model, tmp_path / "out").returncode == 0
    assert tuillm("import", tmp_path / "out", "--name", "back").returncode == 0
    asked = ("-p", "Marda", "--seed", 1, "-n", 20)
    before = tuillm("generate", model, *asked)
    assert before.stdout == tuillm("generate", "back", *asked).stdout != ""
