"""Llama 3's scaling of rotary positions as the factors that llama.cpp keeps of it, and back.

A GGUF file has, for each frequency, what it is divided by: 1 for the fast ones, one factor for the
slow ones, and in between what goes over from one to the other. Knows numbers; knows no files.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig
from tuillm.formats.json_text import JsonObject
from tuillm.model.rotary import frequencies

_NEAR = 1e-4
_LOW, _HIGH, _ORIGINAL = 1.0, 4.0, 8192  # those of all models of Llama 3
_LARGEST = 1e6


def rope_factors(config: GPTConfig) -> Tensor:
    """Return what llama.cpp divides each frequency by [D / 2], for a scaling of Llama 3's."""
    return frequencies(replace(config, rope_original=0)) / frequencies(config)


def rope_scaling(
    factors: Tensor, config: GPTConfig, original: int | None = None
) -> JsonObject | None:
    """Return the `rope_scaling` of a `config.json` whose factors [D / 2] are these.

    Returns {} where nothing is scaled, None where it is not Llama 3's. `original` is the context
    before scaling, if it is told. What follows from the factors alone is right whichever of the
    settings with the same factors was meant.
    """
    plain = replace(config, rope_original=0)
    if _near(factors, torch.ones_like(factors)):
        return {}
    factor = round(float(factors.max()), 4)
    if not 1 < factor <= _LARGEST:
        return None
    unscaled = frequencies(plain)
    for low, high, context in _candidates(factors, unscaled, factor, original):
        if not (0 < low < high <= _LARGEST and 1 <= context <= 10 * _LARGEST):
            continue
        scaled = replace(
            plain, rope_factor=factor, rope_low=low, rope_high=high, rope_original=context
        )
        if _near(rope_factors(scaled), factors):
            return {
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": context,
            }
    return None


def _candidates(
    factors: Tensor, unscaled: Tensor, factor: float, original: int | None
) -> Iterator[tuple[float, float, int]]:
    """Yield settings to try: low, high, and the context before scaling."""
    if original:
        yield _LOW, _HIGH, original
    yield _LOW, _HIGH, _ORIGINAL
    between = (factors > 1 + _NEAR) & (factors < factor * (1 - _NEAR))
    if int(between.sum()) < 2:
        return
    # the share of the unscaled frequency grows with it: share = a * frequency - b, where
    # a = context / (2 pi (high - low)) and b = low / (high - low)
    share = (1 / factors[between].double() - 1 / factor) / (1 - 1 / factor)
    columns = torch.stack([unscaled[between].double(), -torch.ones_like(share)], 1)
    a, b = torch.linalg.lstsq(columns, share[:, None]).solution[:, 0].tolist()
    if a > 0 and b > 0 and a / b < _LARGEST:
        yield _LOW, round(_LOW + 1 / b, 3), round(2 * torch.pi * a / b)


def _near(found: Tensor, wanted: Tensor) -> bool:
    return bool(((found - wanted).abs() <= _NEAR * wanted.abs()).all())
