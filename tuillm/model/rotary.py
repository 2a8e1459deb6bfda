"""Rotary positions: queries and keys turned by angles that grow with their position.

    cos, sin = Rotary(config).table(start, end, device)
    q = rotate(q, (cos, sin))

The halves of a head are the coordinates (not neighbours), as in transformers' Llama. Su et al.
2021, arXiv:2104.09864; Llama 3's scaling as in transformers' `_compute_llama3_parameters`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig

CosSin = tuple[Tensor, Tensor]

_FIRST = 256  # positions of the first table


class Rotary:
    """Cosines and sines of positions in float32, computed once and for more when asked."""

    def __init__(self, config: GPTConfig) -> None:
        self._frequencies = frequencies(config)
        self._table: CosSin | None = None

    def table(self, start: int, end: int, device: torch.device) -> CosSin:
        """Return the cosines and sines [T, D / 2] of the positions from `start` to `end`."""
        table = self._table
        if table is None or len(table[0]) < end or table[0].device != device:
            there = 0 if table is None else len(table[0])
            length = max(end, 2 * there if there < end else there, _FIRST)
            table = self._table = self._compute(length, device)
        return table[0][start:end], table[1][start:end]

    def _compute(self, length: int, device: torch.device) -> CosSin:
        with torch.inference_mode(False):  # a table made while decoding serves training too
            positions = torch.arange(length, dtype=torch.float32)
            angles = torch.outer(positions, self._frequencies)
            return angles.cos().to(device), angles.sin().to(device)


def rotate(x: Tensor, cos_sin: CosSin) -> Tensor:
    """Turn the heads of x [B, H, T, D] by the angles of their T positions."""
    cos, sin = (each.to(x.dtype) for each in cos_sin)  # [T, D / 2]
    if x.requires_grad and not torch.compiler.is_compiling():
        y: Tensor = _Rotated.apply(x, cos, sin)
        return y
    return _rotated(x, cos, sin)


class _Rotated(torch.autograd.Function):
    """A rotation, whose gradient is turned back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, -sin), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    (first, second), (out, other) = x.chunk(2, -1), y.chunk(2, -1)
    torch.mul(first, cos, out=out).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=other).addcmul_(first, sin)
    return y


def frequencies(config: GPTConfig) -> Tensor:
    """Return [D / 2]: radians a position, from 1 down to about 1 / theta.

    Llama 3's scaling divides the slow ones by a factor, leaves the fast ones, and goes over from
    one to the other in between.
    """
    D = config.head_width
    # on a CPU whatever device a model is made on: one on `meta` is given its weights later
    exponents = torch.arange(0, D, 2, dtype=torch.int64, device="cpu").float() / D
    plain = 1.0 / (config.rope_theta**exponents)
    if not config.rope_original:
        return plain
    wavelength = 2 * math.pi / plain
    slow = wavelength > config.rope_original / config.rope_low
    fast = wavelength < config.rope_original / config.rope_high
    share = (config.rope_original / wavelength - config.rope_low) / (
        config.rope_high - config.rope_low
    )
    between = (1 - share) * plain / config.rope_factor + share * plain
    return torch.where(slow, plain / config.rope_factor, torch.where(fast, plain, between))
