"""The loss of a whole text, against a plain computation in float64."""

import copy
import math

import numpy as np
import pytest
import torch

from tuillm.model import GPT, GPTConfig
from tuillm.text.tokenizer import make_tokenizer
from tuillm.training.evaluate import evaluate

TEXT = "Märchen: der Wolf und die sieben Geißlein 🐐. " * 9
T = 24


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer("char", [TEXT[:40]])


@pytest.fixture
def model(tokenizer):
    model = GPT(GPTConfig(vocab_size=tokenizer.n_vocab, block_size=T, n_layer=2, n_head=2,
                          n_embd=16, dropout=0.5))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model.train()


def plain_loss(model, ids):
    """The summed loss of all ids but the first, window by window, in float64."""
    exact, total = copy.deepcopy(model).double().eval(), 0.0
    for start in range(0, len(ids) - 1, T):
        window = torch.tensor(ids[start : start + T + 1])
        with torch.no_grad():
            logprobs = exact(window[None, :-1])[0].log_softmax(-1)
        total -= float(logprobs.gather(1, window[1:, None]).sum())
    return total


@pytest.mark.parametrize("length", [2, 3, T, T + 1, T + 2, 5 * T + 1, 400])
@pytest.mark.parametrize("at_once", [1, 3 * T * 300, 10**9])
def test_every_token_counts_once(model, tokenizer, monkeypatch, length, at_once):
    """The loss is that of a plain computation, however many windows go through at once."""
    monkeypatch.setattr("tuillm.training.sizing._LOGITS_AT_ONCE", at_once)
    ids = tokenizer.encode(TEXT)[:length]
    found = evaluate(model, np.array(ids, np.uint16), 1000, tokenizer)
    assert found.val_loss == pytest.approx(plain_loss(model, ids) / (length - 1), abs=1e-5)


def test_bits_per_byte(model, tokenizer):
    """Bits per byte divide by the bytes of what was foretold: all but the first token's."""
    ids = tokenizer.encode(TEXT)
    size = len(TEXT.encode())
    assert size > len(TEXT)
    found = evaluate(model, np.array(ids, np.uint16), size, tokenizer)
    bits = plain_loss(model, ids) / math.log(2)
    assert found.bits_per_byte == pytest.approx(bits / (size - 1), rel=1e-5)
    nats = found.val_loss * (len(ids) - 1)
    assert found.bits_per_byte * (size - 1) == pytest.approx(nats / math.log(2))


def test_model_is_left_as_it_was(model, tokenizer):
    """Evaluating switches dropout off and on again, also when it is interrupted."""
    ids = np.array(tokenizer.encode(TEXT), np.uint16)
    first, second = (evaluate(model, ids, 500, tokenizer) for _ in range(2))
    assert first == second and model.training
    assert evaluate(model, ids, 500, tokenizer, interrupted=lambda: True) is None
    assert model.training
    evaluate(model.eval(), ids, 500, tokenizer)
    assert not model.training
