"""The sampling pipeline against transformers' own processors, and the draw against chance."""

import random

import pytest
import torch

from tuillm.config import SamplingConfig
from tuillm.generation.sampling import choose_candidates, draw, sample

NOTHING_SEEN = torch.empty(3, 0, dtype=torch.int64)
NEUTRAL = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0)
SINGLE = [
    {},
    {"temperature": 0.3},
    {"temperature": 10.0},
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 100_000},
    {"top_p": 0.05},
    {"top_p": 0.9},
    {"top_p": 0.99},
    {"min_p": 0.001},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
]


def random_options(seed):
    """A combination of all options at once."""
    pick = random.Random(seed)
    return {
        "temperature": pick.uniform(0.2, 2.5),
        "top_k": pick.choice([0, pick.randint(1, 60), pick.randint(100, 2000)]),
        "top_p": pick.choice([1.0, pick.uniform(0.1, 0.99)]),
        "min_p": pick.choice([0.0, pick.uniform(0.001, 0.3)]),
        "repetition_penalty": pick.choice([1.0, pick.uniform(0.8, 1.5)]),
    }


def processors(transformers, config):
    """transformers' pipeline for our settings, in its order."""
    found = []
    if config.repetition_penalty != 1:
        found.append(transformers.RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    found.append(transformers.TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        found.append(transformers.TopKLogitsWarper(config.top_k))
    if config.top_p < 1:
        found.append(transformers.TopPLogitsWarper(config.top_p))
    if config.min_p:
        found.append(transformers.MinPLogitsWarper(config.min_p))
    return found


def clear_case(transformers, config, size):
    """Logits [3, V] and seen ids for which rounding cannot decide what top_p keeps."""
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        logits = 3 * torch.randn(3, size, generator=generator)
        seen = torch.randint(size, (3, 12), generator=generator)
        scores = logits.double()
        for processor in processors(transformers, config):
            if isinstance(processor, transformers.TopPLogitsWarper):
                sums = scores.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
                if (sums - config.top_p).abs().min() < 2e-6:
                    break
            scores = processor(seen, scores)
        else:
            return logits, seen, scores
    raise AssertionError("no clear case found")


@pytest.mark.parametrize("size", [50, 5000])
@pytest.mark.parametrize("options", [*SINGLE, *map(random_options, range(25))], ids=str)
def test_candidates_are_those_of_transformers(transformers, options, size):
    """Each option, and all together, keep the tokens transformers keeps, equally likely."""
    config = SamplingConfig(**(NEUTRAL | options))
    logits, seen, expected = clear_case(transformers, config, size)
    found = choose_candidates(logits, config, seen).full(size)
    assert torch.equal(found.isfinite(), expected.isfinite())
    torch.testing.assert_close(
        found.softmax(-1).double(), expected.softmax(-1), atol=1e-6, rtol=1e-3
    )


@pytest.mark.parametrize("temperature", [0, 1e-300, 1e-40, 1e-12, 1e-6])
@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_no_temperature_takes_the_likeliest(transformers, temperature, penalty):
    """Temperature 0, or as good as 0, is the argmax after the repetition penalty."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 400, generator=generator)
    seen = logits.topk(2).indices
    config = SamplingConfig(temperature=temperature, repetition_penalty=penalty, top_k=0)
    scores = transformers.RepetitionPenaltyLogitsProcessor(penalty)(seen, logits.clone())
    generators = [torch.Generator().manual_seed(row) for row in range(3)]
    assert torch.equal(sample(logits, config, seen, generators), scores.argmax(-1))


def test_draw_follows_the_probabilities():
    """Over many draws each place comes as often as softmax says; cut ones never come."""
    logits = torch.tensor([1.5, -torch.inf, 0.3, -2.0, 0.0, 2.2, -torch.inf, -0.7, 1.0, 0.5])
    count = 20_000
    places = draw(logits.expand(count, -1), [torch.Generator().manual_seed(11)] * count)
    found = torch.bincount(places, minlength=10).double()
    expected = logits.double().softmax(0) * count
    kept = expected > 0
    assert found[~kept].sum() == 0
    chi_square = ((found - expected) ** 2 / expected)[kept].sum()
    assert chi_square < 24.3  # 7 degrees of freedom, one in a thousand


@pytest.mark.parametrize("options", [{}, {"top_k": 9}, {"top_p": 0.7}, {"min_p": 0.1}], ids=str)
def test_draw_depends_on_its_own_row_alone(options):
    """A row draws the same id alone as in any batch, given the same generator."""
    config = SamplingConfig(**(NEUTRAL | options))
    logits = 2 * torch.randn(6, 300, generator=torch.Generator().manual_seed(4))
    seen = NOTHING_SEEN[:1]
    together = sample(
        logits, config, seen.expand(6, 0), [torch.Generator().manual_seed(row) for row in range(6)]
    )
    alone = [
        sample(logits[row : row + 1], config, seen, [torch.Generator().manual_seed(row)])
        for row in range(6)
    ]
    assert together.tolist() == [int(one) for one in alone]
    assert len(set(together.tolist())) > 1


def test_nothing_is_changed_in_place():
    """The logits handed in are the same afterwards, whatever the options."""
    logits = torch.randn(3, 60, generator=torch.Generator().manual_seed(4))
    before, seen = logits.clone(), torch.zeros(3, 2, dtype=torch.int64)
    config = SamplingConfig(
        temperature=0.5, top_k=20, top_p=0.8, min_p=0.05, repetition_penalty=1.5
    )
    sample(logits, config, seen, [torch.Generator().manual_seed(0)] * 3)
    assert torch.equal(logits, before)
