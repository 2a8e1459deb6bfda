"""The learning rate over a run, by steps and by the clock."""

import math

import pytest

from tuillm.config import build_train
from tuillm.training.schedule import lr_factor, progress_of


def config(**settings):
    return build_train({"corpus": "x"} | settings)


def test_linear_rises_and_falls_to_zero():
    """Rises over the first twentieth, then falls linearly to nothing."""
    settings = config(max_steps=1000)
    factors = [lr_factor(settings, step, step / 1000) for step in range(1001)]
    assert 0 < factors[0] < 0.02
    top = factors.index(max(factors))
    assert 45 <= top <= 55 and factors[top] == pytest.approx(0.95, abs=0.01)
    assert factors[:top] == sorted(factors[:top])
    assert factors[500] == pytest.approx(0.5)
    assert factors[1000] == 0


def test_cosine_falls_to_the_floor():
    """Falls as a cosine from the peak to min_lr, which is a share of the peak."""
    settings = config(
        max_steps=100, schedule="cosine", learning_rate=1e-2, min_lr=1e-3, warmup_steps=0
    )
    for step in (0, 10, 50, 99, 100):
        cosine = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 100))
        assert lr_factor(settings, step, step / 100) == pytest.approx(cosine)
    assert lr_factor(settings, 100, 1.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("step", "share"), [(0, 1 / 11), (4, 5 / 11), (9, 10 / 11), (10, 1)])
def test_warmup_steps(step, share):
    """Over warmup_steps the rate rises evenly; the first step is not wasted at zero."""
    settings = config(max_steps=1000, warmup_steps=10)
    fall = 1 - step / 1000
    assert lr_factor(settings, step, step / 1000) == pytest.approx(share * fall)


@pytest.mark.parametrize(
    ("limits", "step", "elapsed", "expected"),
    [
        ({"max_steps": 200}, 50, 1e6, 0.25),
        ({"minutes": 2}, 10**6, 30, 0.25),
        ({"max_steps": 200, "minutes": 2}, 50, 60, 0.5),
        ({"max_steps": 200, "minutes": 2}, 150, 60, 0.75),
        ({"minutes": 2}, 1, 500, 1.0),
    ],
    ids=str,
)
def test_progress_is_by_whichever_is_further(limits, step, elapsed, expected):
    """Steps, the clock, or the further of the two tell how much of a run is over."""
    assert progress_of(config(**limits), step, elapsed) == expected


def test_rate_by_the_clock():
    """Without max_steps the rate follows the clock alone, above zero at the first step."""
    settings = config(minutes=1)
    assert 0 < lr_factor(settings, 0, 0.0) < 0.05
    assert lr_factor(settings, 7, 0.5) == pytest.approx(0.5)
    assert lr_factor(settings, 7, 1.0) == 0
