"""The loss of a whole text, against a plain computation in float64."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tuillm.model import GPT, GPTConfig
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.training.auto_settings import eval_window
from tuillm.training.evaluate import evaluate, spread

TEXT = "Märchen: der Wolf und die sieben Geißlein 🐐. " * 9
T = 24


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer("char", [TEXT[:40]])


@pytest.fixture
def model(tokenizer):
    model = GPT(
        GPTConfig(
            vocab_size=tokenizer.n_vocab, block_size=T, n_layer=2, n_head=2, n_embd=16, dropout=0.5
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model.train()


def plain_loss(model, ids, T=T):
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
    monkeypatch.setattr("tuillm.config.gpt_config.LOGITS_AT_ONCE", at_once)
    ids = tokenizer.encode(TEXT)[:length]
    found = evaluate(model, np.array(ids, np.uint16), 1000, tokenizer)
    assert found.val_loss == pytest.approx(plain_loss(model, ids) / (length - 1), abs=1e-5)


@pytest.mark.parametrize("window", [T, 4 * T])
def test_windows_may_be_shorter_than_the_context(model, tokenizer, window):
    """As those are of models that learn from less than their context; never longer than it."""
    ids = tokenizer.encode(TEXT)
    wider = GPT(replace(model.config, block_size=2 * T))
    state = dict(model.state_dict())
    state["wpe.weight"] = torch.cat([state["wpe.weight"], torch.zeros(T, 16)])
    wider.load_state_dict(state)
    found = evaluate(wider, np.array(ids, np.uint16), 1000, tokenizer, window=window)
    wanted = plain_loss(model if window == T else wider, ids, min(window, 2 * T))
    assert found.val_loss == pytest.approx(wanted / (len(ids) - 1), abs=1e-5)
    assert eval_window(8192, 256) == 1024 and eval_window(8192, 4096) == 4096
    assert eval_window(64, 64) == 64 and eval_window(1024, 256) == 1024


def test_bits_per_byte(model, tokenizer):
    """Bits per byte divide by the bytes of what was predicted: all but the first token's."""
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


def test_a_part_of_the_text_stands_for_all(model, tokenizer):
    """With `most`, whole windows spread over the text are looked at, each token counted once."""
    ids = tokenizer.encode(TEXT * 3)
    array = np.array(ids, np.uint16)
    starts = spread(len(ids) - 1, T, 5 * T)
    assert len(starts) == 5 and starts[0] == 0 and all(start % T == 0 for start in starts)
    assert min(b - a for a, b in zip(starts, starts[1:], strict=False)) >= T
    assert starts[-1] > 0.7 * len(ids) and starts[-1] + T < len(ids)
    parts = [evaluate(model, array[start : start + T + 1], 0, tokenizer) for start in starts]
    found = evaluate(model, array, 10**9, tokenizer, most=5 * T + 3)
    assert found.val_loss == pytest.approx(sum(part.val_loss for part in parts) / 5, abs=1e-6)
    seen = b"".join(
        tokenizer.token_bytes(ids[start + place]) for start in starts for place in range(1, T + 1)
    )
    assert found.bits_per_byte == pytest.approx(
        found.val_loss * 5 * T / math.log(2) / len(seen), rel=1e-6
    )
    whole = evaluate(model, array, 1000, tokenizer)
    assert evaluate(model, array, 1000, tokenizer, most=len(ids)) == whole
    assert evaluate(model, array, 1000, tokenizer, most=10**9) == whole


@pytest.mark.parametrize("most", [None, 5 * T])
def test_what_a_vocabulary_cannot_write_is_paid_for(model, tokenizer, most):
    """Left-out bytes cost 8 bits each, in a part of the text as in all of it."""
    ids = np.array(tokenizer.encode(TEXT * 3), np.uint16)
    size = len((TEXT * 3).encode())
    plain = evaluate(model, ids, size, tokenizer, most=most).bits_per_byte
    paid = evaluate(model, ids, 2 * size, tokenizer, most=most, left_out=size).bits_per_byte
    assert paid == pytest.approx((plain + 8) / 2, rel=0.01)
