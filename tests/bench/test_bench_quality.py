"""What a precision costs, beside a reference that is as plain as the definition."""

import math

import numpy as np
import pytest
import torch

from tuillm.bench.precision_quality import measure_quality, windows_of
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import UsageError
from tuillm.model import GPT


def model_of(noise):
    """A tiny random model, and how far it is from the others by noise on its weights."""
    model = GPT(GPTConfig(37, 16, 2, 2, 16, 0.0, True, True)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    other = torch.Generator().manual_seed(1)
    for values in model.parameters():
        values.copy_(torch.randn(values.shape, generator=generator) * 0.4)
        values.add_(torch.randn(values.shape, generator=other), alpha=noise)
    return model


def brute(reference, model, windows):
    """KL, agreement and perplexity from probabilities, a position at a time."""
    kl, same, nats, tokens = 0.0, 0, 0.0, 0
    for window in windows:
        for end in range(1, len(window)):
            before = torch.tensor([window[:end]])
            p, q = (np.exp(each(before)[0, -1].double().numpy()) for each in (reference, model))
            p, q = p / p.sum(), q / q.sum()
            kl += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
            same += p.argmax() == q.argmax()
            nats -= math.log(q[window[end]])
            tokens += 1
    return kl / tokens, same / tokens, math.exp(nats / tokens)


@pytest.mark.parametrize("at_once", [4_000_000, 80])
def test_equal_to_the_definition(monkeypatch, at_once):
    """However the logits are cut into pieces."""
    monkeypatch.setattr("tuillm.bench.precision_quality._AT_ONCE", at_once)
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(37, (60,), generator=draw).tolist()
    windows = windows_of(ids, 16, 1000)
    reference, other = model_of(0.0), model_of(0.05)
    exact, found = measure_quality(reference, {"bfloat16": other}, windows)
    assert (exact.dtype, exact.kl, exact.top1) == ("float32", 0.0, 1.0)
    kl, same, perplexity = brute(reference, other, windows)
    assert found.kl == pytest.approx(kl, rel=1e-4) and kl > 0.001
    assert found.top1 == same and 0 < same < 1
    assert found.perplexity == pytest.approx(perplexity, rel=1e-4)
    assert exact.perplexity == pytest.approx(brute(reference, reference, windows)[2], rel=1e-4)
    assert found.tokens == exact.tokens == 59


def test_windows_are_spread_over_the_text():
    """They take in all of a short text, and of a long one parts from its beginning to its end."""
    ids = list(range(100))
    assert windows_of(ids, 16, 1000) == [ids[start : start + 17] for start in range(0, 99, 16)]
    few = windows_of(ids, 16, 48)
    assert len(few) == 3 and few[0][0] == 0 and few[-1][0] >= 50
    assert all(len(window) == 17 for window in few)
    assert windows_of([1], 16, 48) == [] and windows_of([1, 2], 16, 1) == [[1, 2]]


def test_a_text_of_nothing_is_refused():
    """One token predicts nothing."""
    with pytest.raises(UsageError, match="nothing to predict"):
        measure_quality(model_of(0.0), {}, windows_of([1], 16, 48))
