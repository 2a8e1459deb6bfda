"""`--context` of generate and chat, and how far the reading of a long prompt is."""

import json
import re

import pytest
import torch
from chat.talking import Talk
from commands import tuillm

from tuillm.config.gpt_config import GPTConfig
from tuillm.model import GPT, read_config, write_model

READING = re.compile(r"reading 5,\d\d\d tokens … \d+%")


@pytest.fixture
def long(home, model):
    """A model of random weights for 8,192 positions, `book` from now on; reading takes a while."""
    folder = home / "models" / model
    config = GPTConfig(
        read_config(folder).vocab_size, 8192, 6, 8, 512, bias=False, family="llama", n_kv_head=4,
        n_inner=1408, rms_norm=True, gated_mlp=True, rope_theta=1e5, tie_weights=True,
    )  # fmt: skip
    torch.manual_seed(0)
    made = GPT(config)
    with torch.no_grad():
        for values in made.parameters():
            values.normal_(1.0 if values.dim() == 1 else 0.0, 0.02)
    for old in ("config.json", "model.safetensors"):
        (folder / old).unlink()
    write_model(made, folder, None)
    return model


@pytest.fixture
def prompt(home, model):
    """A text of some 5,000 tokens."""
    from tuillm.text import load_tokenizer

    words = "Marda said that the lamp was lit and nobody had gone home. "
    each = len(load_tokenizer(home / "models" / model).encode(words))
    return words * (5300 // each)


def test_a_context_that_cannot_be_is_one_line(model):
    """What is allowed stands in it; nothing is written to stdout."""
    for value, words in (
        ("0", "--context cannot be 0"),
        ("many", "--context cannot be 'many'"),
        ("999999", "the context cannot be 999999 (allowed: 1 to "),
    ):
        done = tuillm("generate", model, "-n", 1, "--context", value)
        assert done.returncode and done.stdout == "" and done.stderr.count("\n") == 1
        assert words in done.stderr


def test_a_prompt_that_is_too_long_is_told(model):
    """Of a shorter context, too; the text is that of what the model saw."""
    done = tuillm("generate", model, "-n", 5, "--context", 16, "-p", "Marda said it " * 20)
    assert done.returncode == 0 and re.search(r"the prompt is \d+ tokens too long", done.stderr)


def test_show_says_what_contexts_take(model, long):
    """As text; for programs the shape stands in the JSON."""
    shown = tuillm("show", model)
    assert "context memory" in shown.stdout and "for 8,192 positions" in shown.stdout
    assert f"{model} " in tuillm("doctor").stdout.partition("contexts\n")[2]
    assert json.loads(tuillm("show", model, "--json").stdout)["block_size"] == 8192


@pytest.mark.slow
def test_generate_tells_how_far_it_has_read(long, prompt, terminal, tmp_path):
    """On a terminal, and nothing of it stays; a pipe hears nothing. A prompt may be 100 KB."""
    file = tmp_path / "prompt.txt"
    file.write_text(prompt)
    screen = terminal("generate", long, "-p", f"FILE:{file}", "-n", "2", "--no-echo", columns=100)
    screen.wait(lambda text: READING.search(text) is not None)
    assert screen.wait_end() == 0 and "reading" not in screen.text
    file.write_text(prompt * 5)
    done = tuillm("generate", long, "-p", f"FILE:{file}", "-n", "2", "--no-echo")
    assert done.returncode == 0 and "reading" not in done.stderr
    assert "tokens too long" in done.stderr


@pytest.mark.slow
def test_a_chat_stops_reading_and_goes_on(long, prompt, home):
    """Ctrl-C leaves the conversation as it was; what was read is not read again."""
    talk = Talk(long, "--temperature", "0", "-n", "4", "--dtype", "float32", columns=100)
    try:
        before = talk.row
        talk.press(f"\x1b[200~{prompt}\x1b[201~\r")
        talk.wait(lambda text: READING.search(text) is not None)
        talk.interrupt()
        talk.wait("stopped before all was read")
        talk.wait_prompt(before)
        assert "context 0/8192" in talk.toolbar
        talk.press("\x1b[A\r")  # the line comes back

        def said():
            kept = max((home / "chats").glob("*.json"), key=lambda path: path.stat().st_mtime)
            return json.loads(kept.read_text())["tree"]["nodes"]

        talk.wait(lambda text: [node["who"] for node in said()] == ["you", "you", "model"])
        nodes = said()
        talk.wait(lambda text: re.search(r"context 5\d\d\d/8192", talk.toolbar) is not None)
        assert nodes[1].get("parent") is None and nodes[2]["parent"] == 2
    finally:
        talk.close()
