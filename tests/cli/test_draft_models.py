"""`--draft` and `--lookup` as a person types them: the same text, figures, and what is refused."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from cli.test_cli_verbs import one_line, tuillm
from known_line import LINE

from tuillm.model import GPT, GPTConfig, write_model
from tuillm.text.new_tokenizer import make_tokenizer

SEEDED = ("-p", "abc", "-n", "60", "--seed", "7", "--stats")


def write_talker(folder, letters, n_layer):
    """Write a random model that says letters, fluent in the same way whatever its depth."""
    tokenizer = make_tokenizer("char", [letters])
    shape: dict[str, Any] = dict(block_size=128, n_head=2, n_embd=32, bias=True, tie_weights=False)
    model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, n_layer=n_layer, **shape))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)
        model.ln_f.weight[0], model.get_parameter("ln_f.bias")[0] = 0, 1
        model.get_parameter("lm_head.weight")[len(set(letters)) :, 0] = -40
    folder.mkdir(parents=True)
    write_model(model, folder, tokenizer.eot)
    tokenizer.save(folder, 128)


@pytest.fixture(autouse=True)
def registry(home):
    """A model, a smaller one with its tokenizer, and a smaller one with another."""
    write_talker(home / "models" / "large", "abcdefghij klm\n", 3)
    write_talker(home / "models" / "small", "abcdefghij klm\n", 1)
    write_talker(home / "models" / "other", "nopqrstuvwxyz\n", 1)


def figures(stderr):
    """The figures of --stats by name."""
    return dict(part.split("=") for part in stderr.split())


@pytest.mark.slow
def test_a_draft_model_changes_no_text(home):
    """generate and chat in a pipe print the same with and without; figures tell of drafts."""
    plain = tuillm("generate", "large", *SEEDED, "--lookup", "off")
    told = figures(plain.stderr)
    assert (told["drafted"], told["accepted"]) == ("0", "0")
    drafted = tuillm("generate", "large", *SEEDED, "--draft", "small")
    assert drafted.stdout == plain.stdout
    told = figures(drafted.stderr)
    assert int(told["drafted"]) >= int(told["accepted"]) >= 0 and int(told["drafted"]) > 0
    piped = [
        subprocess.run(
            [sys.executable, "-m", "tuillm", "chat", "large", "-n", "60", "--seed", "7", *more],
            input="abc",
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        for more in (["--lookup", "off"], ["--draft", "small"])
    ]
    assert piped[0] == piped[1] and len(piped[0]) > 50


@pytest.mark.slow
def test_what_cannot_draft_is_refused():
    """Another tokenizer, a model not smaller, none at all: a line, and what is allowed."""
    for name, words, code in (
        ("other", "'other' cannot draft: it has another tokenizer", 2),
        ("large", "'large' cannot draft: it has ", 2),
        ("nobody", "no model named 'nobody'", 1),
    ):
        failed = tuillm("generate", "large", *SEEDED, "--draft", name)
        line = one_line(failed, code)
        assert words in line and failed.stdout == ""
        assert name == "nobody" or "a smaller model with the same tokenizer" in line
    line = one_line(tuillm("generate", "large", "--lookup", "maybe"), 2)
    assert "auto" in line and "on" in line and "off" in line


@pytest.mark.slow
def test_a_run_leaves_the_index_of_its_book(tmp_path):
    """A model that was trained here drafts from its book: the same text, much of it accepted."""
    from tuillm import Sampler, Trainer
    from tuillm.generation.suffix_index import BookLookup

    (tmp_path / "line.txt").write_text(LINE * 60)
    shape: dict[str, Any] = dict(
        preset="nano", tokenizer="bpe", vocab_size=320, val_fraction=0.0, max_steps=120
    )
    Trainer(corpus=str(tmp_path / "line.txt"), name="line", **shape).run()
    drafters = Sampler("line").speculation.drafters
    assert any(isinstance(drafter, BookLookup) for drafter in drafters)
    common = ("-p", "Marda said", "-n", 200, "--temperature", 0, "--stats")
    plain = tuillm("generate", "line", *common, "--lookup", "off")
    found = tuillm("generate", "line", *common)
    assert found.stdout == plain.stdout and LINE in found.stdout
    assert int(figures(found.stderr)["accepted"]) > 50
