"""Muon: momentum, orthogonalised, for the matrices of blocks (Keller Jordan 2024).

A parameter may hold several matrices, one below the other: queries, keys and values, or a gate and
the layer beside it. Each is orthogonalised by itself, and all of one size at once. Knows tensors
and rates; no schedule and no AdamW.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from tuillm.config import TrainConfig
from tuillm.model import GPT
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.flat_group import FlatGroup

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
MOMENTUM = 0.95


@dataclass(frozen=True)
class MatrixGroup:
    """Parameters that Muon steps together: each is made of matrices of these `rows`, in order.

    `rows` has one entry where all matrices of all parameters have as many.
    """

    parameters: list[nn.Parameter]
    rows: tuple[int, ...]
    columns: int

    def stacked(self, flat: Tensor) -> Tensor:
        """View what lies one behind the other as [n, sum of rows, columns]."""
        return flat.view(-1, sum(self.rows), self.columns)

    def updates(self, stacked: Tensor, orthogonal: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what Muon subtracts, times its rate, for gradients shaped as `stacked` gives them.

        `orthogonal` takes and returns [count, rows, columns]; see `muon_scale`.
        """
        parts, start = [], 0
        for rows, alike in groupby(self.rows):
            begin, start = start, start + rows * len(list(alike))
            part = stacked[:, begin:start]
            found = orthogonal(part.reshape(-1, rows, self.columns))
            if (scale := muon_scale(rows, self.columns)) != 1:
                found.mul_(scale)
            parts.append(found.reshape(part.shape))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def matrix_groups(model: GPT, config: TrainConfig) -> list[MatrixGroup]:
    """Return the matrices of a model's blocks that Muon drives, none for another optimizer."""
    if config.optimizer != "muon":
        return []
    told = {each.name: each for each in model.config.block_parameters()}
    groups: dict[tuple[tuple[int, ...], int], list[nn.Parameter]] = {}
    for block in model.h:
        for name, parameter in block.named_parameters():
            if told[name].matrix:
                kind = told[name].kinds, told[name].shape[1]
                groups.setdefault(kind, []).append(parameter)
    return [MatrixGroup(parameters, *kind) for kind, parameters in groups.items()]


class Muon:
    """Momentum, orthogonalised: Muon by Keller Jordan (2024), on the matrices of a group at once.

    The update is the nearest (semi-)orthogonal matrix to the Nesterov gradient, found by five
    Newton-Schulz steps with his coefficients.
    """

    def __init__(self, group: MatrixGroup, dtype: torch.dtype, ranks: Ranks) -> None:
        self._group, self._dtype, self._ranks = group, dtype, ranks
        self.flat = FlatGroup(group.parameters)
        self._values = group.stacked(self.flat.values)
        self._grads = group.stacked(self.flat.grads)
        self.momentum = torch.zeros_like(self._grads)

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float) -> None:
        """Take one step; `weight_decay` is the share of the values lost, times lr."""
        self.momentum.lerp_(self._grads, 1 - MOMENTUM)
        nesterov = self._grads.lerp(self.momentum, MOMENTUM)
        update = self._group.updates(nesterov, self._orthogonalise)
        if weight_decay:
            self._values.mul_(1 - lr * weight_decay)
        self._values.add_(update, alpha=-lr)

    def _orthogonalise(self, matrices: Tensor) -> Tensor:
        return orthogonalise_together(matrices, self._dtype, self._ranks)


def orthogonalise_together(matrices: Tensor, dtype: torch.dtype, ranks: Ranks) -> Tensor:
    """Return [n, rows, cols] as `orthogonalise` does, each of several ranks doing a part."""
    count = len(matrices)
    if not ranks.together:
        return orthogonalise(matrices, dtype)
    each = -(-count // ranks.size)
    mine = matrices.new_zeros((each, *matrices.shape[1:]))
    part = matrices[ranks.rank * each : (ranks.rank + 1) * each]
    if len(part):
        mine[: len(part)] = orthogonalise(part, dtype)
    return ranks.gather(mine)[:count]


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Return [n, rows, cols] with all singular values near 1 (between 0.7 and 1.2).

    `dtype` is the precision of the products.
    """
    a, b, c = _NEWTON_SCHULZ
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        square = x @ x.transpose(1, 2)
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)


def muon_scale(rows: int, cols: int) -> float:
    """What Muon's rate is multiplied by for matrices of this shape."""
    return math.sqrt(max(1.0, rows / cols))
