"""Talkers for sessions: fluent nonsense, tokens in a given order, a known sentence."""

import json
import shutil

import pytest
import torch
from chat.talking import Talk

from tuillm import Sampler
from tuillm.config import SamplingConfig
from tuillm.model import GPT, GPTConfig
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.tiktoken_tokenizer import TiktokenTokenizer


@pytest.fixture
def talker():
    """Make a Sampler of a random model that says `letters`, and with `bytes` any other byte."""

    def make(seed=0, letters="abcdefghijklmnopqrstuvwxyz \n", bytes=False, **shape):
        tokenizer = TiktokenTokenizer(make_tokenizer("char", [letters]).spec | {"added_tokens": []})
        defaults = dict(block_size=32, n_layer=2, n_head=2, n_embd=32, bias=True, tie_weights=False)
        model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, **(defaults | shape)))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.35, generator=generator)
            model.ln_f.weight[0], model.get_parameter("ln_f.bias")[0] = 0, 1
            model.get_parameter("lm_head.weight")[len(letters) :, 0] = 0 if bytes else -40
        return Sampler.of(model.eval(), tokenizer)

    return make


@pytest.fixture
def chain():
    """Make a Sampler that always says the bytes of a text in turn, whatever stands further back."""

    def make(text, letters="\n", **shape):
        tokenizer = make_tokenizer("char", [letters])
        ids = tokenizer.encode(text)
        assert len(set(ids)) == len(ids), "each token must tell its successor"
        size = tokenizer.n_vocab
        model = GPT(
            GPTConfig(
                vocab_size=size,
                n_layer=0,
                n_head=1,
                n_embd=size,
                block_size=64,
                tie_weights=False,
                bias=True,
                **shape,
            )
        )
        with torch.no_grad():
            model.wte.weight.copy_(torch.eye(size))
            model.wpe.weight.zero_()
            head = model.get_parameter("lm_head.weight").zero_()
            for token, successor in zip(ids, ids[1:] + ids[:1], strict=True):
                head[successor, token] = 1
        return Sampler.of(model.eval(), tokenizer)

    return make


@pytest.fixture
def config():
    """Settings under which the talkers say something and the seed decides."""
    return SamplingConfig(temperature=1.0, top_k=0, max_new_tokens=40, seed=1)


@pytest.fixture
def talk(model, home):
    """A factory of chats in pseudo-terminals, with the model `book` first of all.

    A chat survives what is wrong within tuillm: a test that does not remove the log of it fails.
    """
    opened = []

    def open_chat(*arguments, name=model, **more):
        opened.append(Talk(name, *map(str, arguments), **more))
        return opened[-1]

    yield open_chat
    for each in opened:
        each.close()
    log = home / "errors.log"
    assert not log.exists(), log.read_text()


@pytest.fixture
def letters(home, trained_folders):
    """A second model in the registry, of letters."""
    shutil.copytree(trained_folders["char"], home / "models" / "letters")
    return "letters"


@pytest.fixture
def kept(home):
    """Read the conversations that were kept: a list of JSON objects, the oldest first."""

    def read():
        files = sorted((home / "chats").glob("*.json"), key=lambda path: path.stat().st_mtime)
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]

    return read
