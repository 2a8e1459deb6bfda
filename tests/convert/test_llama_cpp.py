"""llama.cpp itself reads our GGUF files: the same ids for any text, the same greedy reply.

For developers who have `llama-cpp-python` installed; it is no dependency.
"""

import os
from typing import Any

import numpy as np
import pytest
import torch

from tuillm import Sampler, Trainer
from tuillm.convert.export_model import export
from tuillm.convert.import_model import import_model
from tuillm.model import read_model
from tuillm.text import load_tokenizer

llama_cpp = pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow

TEXTS = [
    'The road went on, and Tib with it.\n\n"Why?" said Marda.',
    "қазақ тілі әіңғүұқөһ ӘІҢ — «Абай»",
    "🐋👩‍👩‍👧🏽🇰🇿❤️ and 白鲸記",
    "tabs\tand   many  blanks \n \n end ",
    "it's we'll I'D 12345 ½²٣٤ e\u0301 \u00a0\u2003x",
    "<|endoftext|> is text, [INST] <s> </s> <0x41> too",
    "cut \u0431 \u0434 \u049b\u0493 \U0001f40c",
]


@pytest.fixture
def trained(book, home, request):
    """Train a model of a kind that knows 128 positions; returns its folder."""

    def train(kind, **settings):
        shape: dict[str, Any] = dict(
            preset="nano", block_size=128, n_embd=64, max_steps=150, sample_tokens=0
        )
        return Trainer(corpus=str(book), name=kind, tokenizer=kind, **(shape | settings)).run().path

    return train


def opened(path):
    """A GGUF file in llama.cpp, with keys and values in f32 as ours are."""
    return llama_cpp.Llama(
        str(path),
        n_ctx=256,
        logits_all=True,
        type_k=0,
        type_v=0,
        seed=1,
        n_threads=1,
        verbose=False,
    )


def assert_same_ids(llama, tokenizer):
    for text in TEXTS:
        theirs = llama.tokenize(text.encode(), add_bos=True, special=False)
        assert theirs == tokenizer.encode(text), repr(text)
        assert llama.detokenize(theirs).decode("utf-8", "replace") == tokenizer.decode(theirs)


def assert_same_reply(llama, folder, prompt, length=100):
    """Greedy text and logits along it agree; returns the largest difference of logits.

    Two tokens closer than llama.cpp's rounding (its GELU is a table in half precision) have no
    order that could agree: such a place is left out, and what is generated behind it.
    """
    tokenizer, sampler = load_tokenizer(folder), Sampler(folder, dtype="float32")
    ids = tokenizer.encode(prompt)
    ours = [token.id for token in sampler.stream(ids, temperature=0, max_new_tokens=length)]
    theirs = []
    for token in llama.generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0):
        theirs.append(token)
        if len(theirs) == len(ours):
            break
    llama.reset()
    llama.eval(ids + ours)
    with torch.inference_mode():
        exact = read_model(folder).eval()(torch.tensor([ids + ours]))[0].numpy()
    found = np.array(llama.scores[: len(exact)])[:, : exact.shape[1]]
    reply = slice(len(ids) - 1, -1)
    second, first = np.sort(exact[reply], 1)[:, -2:].T
    clear = first - second > 0.002
    assert clear.sum() >= len(ours) - 3
    assert (found[reply].argmax(1) == ours)[clear].all()
    until = len(ours) if clear.all() else int(clear.argmin())
    assert theirs[:until] == ours[:until]
    return float(np.abs(found - exact).max())


@pytest.mark.parametrize("kind", ["char", "bpe"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_trained_model(trained, tmp_path, kind, bias):
    """Ids of any text, and 100 greedy tokens, are llama.cpp's too."""
    folder = trained(kind, bias=bias)
    llama = opened(export(kind, tmp_path, "gguf").path)
    assert_same_ids(llama, load_tokenizer(folder))
    assert assert_same_reply(llama, folder, "The road went on") < 0.05


def test_gpt2_vocabulary(trained, tmp_path, gpt2_vocabulary):
    """The same with GPT-2's own vocabulary."""
    folder = trained("gpt2", max_steps=40, n_embd=32, batch_size=2, val_fraction=0.01)
    llama = opened(export("gpt2", tmp_path, "gguf").path)
    assert_same_ids(llama, load_tokenizer(folder))
    assert assert_same_reply(llama, folder, "The road went on") < 0.05


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_half_precision_loads(trained, tmp_path, dtype):
    """Files in half precision load, and say nearly the same."""
    folder = trained("bpe", tie_weights=False)
    llama = opened(export("bpe", tmp_path, "gguf", dtype).path)
    ids = load_tokenizer(folder).encode("The road went on, and the girl with it")
    llama.eval(ids)
    with torch.inference_mode():
        exact = read_model(folder).eval()(torch.tensor([ids]))[0].numpy()
    assert np.abs(np.array(llama.scores[: len(ids)]) - exact).max() < 0.3


@pytest.mark.parametrize("letters", [None, "\n aбқ白🐋e"])
def test_what_came_from_nanogpt(nanogpt, tmp_path, home, characters, letters):
    """A vocabulary without bytes leaves out what it does not know, here and there."""
    letters = characters if letters is None else sorted(letters)
    _, path = nanogpt(meta=letters, vocab_size=len(letters), block_size=150)
    import_model(str(path), "play")
    llama = opened(export("play", tmp_path, "gguf").path)
    tokenizer = load_tokenizer(home / "models" / "play")
    assert_same_ids(llama, tokenizer)
    llama.reset()
    ids = tokenizer.encode("a e" + "".join(letters))
    llama.eval(ids)
    with torch.inference_mode():
        exact = read_model(home / "models" / "play").eval()(torch.tensor([ids]))[0].numpy()
    found = np.array(llama.scores[: len(ids)])
    assert np.abs(found[:, : exact.shape[1]] - exact).max() < 0.2
    assert (found[:, exact.shape[1]] <= exact.max(1) + 0.01).all()


def test_beyond_the_context(trained, tmp_path):
    """Past the positions it learned a model babbles in llama.cpp, but does not bring it down."""
    trained("char", block_size=24)
    llama = opened(export("char", tmp_path, "gguf").path)
    tokens = llama.generate(llama.tokenize(b"The road", add_bos=False), top_k=1, temp=0.0)
    assert len([next(tokens) for _ in range(200)]) == 200


def test_the_modelfile_names_a_file_that_loads(trained, tmp_path):
    """What is written for ollama is a file that llama.cpp loads."""
    trained("char")
    done = export("char", tmp_path / "o", "ollama")
    assert os.listdir(done.path) and opened(done.path / "char.gguf").n_vocab() > 256
