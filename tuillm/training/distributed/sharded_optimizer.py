"""Muon and AdamW on weights that are spread over the ranks.

The rules are those of `training.optimizer`; what is kept of earlier steps is spread like the
weights, and is put together for a checkpoint, which so is the same for any number of ranks. Knows
sharded tensors; no schedule.
"""

import math
from itertools import chain

import torch
from torch import Tensor, nn

from tuillm.config import TrainConfig
from tuillm.model import GPT
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.distributed.sharded_model import grads_of, let_go, local_of, part_of
from tuillm.training.muon import MOMENTUM, MatrixGroup, matrix_groups, orthogonalise_together
from tuillm.training.optimizer import adamw_parameters

_KEPT = ("exp_avg", "exp_avg_sq")


class ShardedOptimizer:
    """Steps a sharded GPT by the rules of a TrainConfig; the interface is that of Optimizer."""

    def __init__(self, learner: GPT, config: TrainConfig, ranks: Ranks, dtype: torch.dtype) -> None:
        self._config, self._ranks, self._dtype = config, ranks, dtype
        self._learner = learner
        self._muons = [
            (group, [torch.zeros_like(local_of(each)) for each in group.parameters])
            for group in matrix_groups(learner, config)
        ]
        self._groups = adamw_parameters(learner, config)
        # what this rank has of each parameter, which is all that an elementwise rule needs
        self._locals = [
            [nn.Parameter(local_of(parameter)) for parameter in group] for group, _ in self._groups
        ]
        self._adamw = torch.optim.AdamW(
            [
                {"params": own, "weight_decay": config.weight_decay if decays else 0.0}
                for own, (_, decays) in zip(self._locals, self._groups, strict=True)
            ],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            fused=self._device.type in ("cpu", "cuda"),
        )
        for own in chain(*self._locals):  # from the first step on, so that it can be loaded before
            zeros = {key: torch.zeros_like(own) for key in _KEPT}
            self._adamw.state[own] = {"step": torch.tensor(0.0)} | zeros

    @property
    def grads(self) -> list[Tensor]:
        """Nothing to add up: the backward pass has done it."""
        return []

    @property
    def values(self) -> list[Tensor]:
        """Nothing to make equal: each rank has its part."""
        return []

    @property
    def held(self) -> list[Tensor]:
        """What this rank has of the parameters that learn."""
        return [local_of(parameter) for parameter in self._parameters]

    @property
    def shadowed(self) -> bool:
        """Whether weights are kept in bfloat16, too: never."""
        return False

    @property
    def state_bytes(self) -> int:
        """What `state` takes, in bytes."""
        return 8 * sum(p.numel() for group, _ in self._groups for p in group) + 4 * sum(
            p.numel() for group, _ in self._muons for p in group.parameters
        )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def scale_grads(self, factor: float) -> None:
        """Multiply what this rank has of the gradients by the inverse of the loss's scale."""
        for grad in grads_of(self._parameters):
            grad.mul_(factor)

    @torch.no_grad()
    def step(self, factor: float) -> float:
        """Take one step at `factor` times the peak rates; return the gradients' norm."""
        adamw = [grad for group, _ in self._groups for grad in grads_of(group)]
        for own, grad in zip(chain(*self._locals), adamw, strict=True):
            own.grad = grad
        muon = [grad for group, _ in self._muons for grad in grads_of(group.parameters)]
        squares = torch.stack([_square(adamw, self._device), _square(muon, self._device)])
        self._ranks.sum(squares)
        norm = math.sqrt(float(squares.sum()))
        if not math.isfinite(norm):
            return norm
        if self._config.grad_clip:
            clip = min(self._config.grad_clip / (math.sqrt(float(squares[0])) + 1e-6), 1.0)
            for grad in adamw:
                grad.mul_(clip)
        for settings in self._adamw.param_groups:
            settings["lr"] = self._config.learning_rate * factor
        self._adamw.step()
        for matrices, momenta in self._muons:
            self._muon_step(matrices, momenta, factor)
        return norm

    def state(self) -> dict[str, Tensor]:
        """Return what `Optimizer.state` would; all ranks have to ask for it."""
        state: dict[str, Tensor] = {}
        for index, (matrices, momenta) in enumerate(self._muons):
            kept = zip(matrices.parameters, momenta, strict=True)
            flat = torch.cat([self._whole(*pair).flatten() for pair in kept])
            state[f"muon.{index}"] = matrices.stacked(flat)
        for index, (group, _) in enumerate(self._groups):
            entries = [self._adamw.state[own] for own in self._locals[index]]
            state[f"adamw.{index}.step"] = entries[0]["step"].clone()
            for key in _KEPT:
                pairs = zip(group, entries, strict=True)
                whole = [self._whole(parameter, entry[key]).flatten() for parameter, entry in pairs]
                state[f"adamw.{index}.{key}"] = torch.cat(whole)
        return state

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take this rank's part of what `state` returned; raises KeyError for another model's."""
        for index, (matrices, momenta) in enumerate(self._muons):
            cut = _cut(state[f"muon.{index}"], matrices.parameters)
            for momentum, whole in zip(momenta, cut, strict=True):
                momentum.copy_(part_of(whole, self._ranks))
        for index, (group, _) in enumerate(self._groups):
            entries = [self._adamw.state[own] for own in self._locals[index]]
            for key in _KEPT:
                cut = _cut(state[f"adamw.{index}.{key}"], group)
                for entry, whole in zip(entries, cut, strict=True):
                    entry[key].copy_(part_of(whole, self._ranks))
            for entry in entries:
                entry["step"].copy_(state[f"adamw.{index}.step"])

    def refresh(self) -> None:
        """Let go of weights that were gathered before they were changed elsewhere."""
        let_go(self._learner)

    @property
    def _parameters(self) -> list[nn.Parameter]:
        groups = [group for group, _ in self._groups]
        groups += [group.parameters for group, _ in self._muons]
        return list(chain(*groups))

    @property
    def _device(self) -> torch.device:
        return self._groups[0][0][0].device

    def _muon_step(self, group: MatrixGroup, momenta: list[Tensor], factor: float) -> None:
        """Take Muon's step; each rank orthogonalises a part of the matrices, as a whole."""
        parameters = group.parameters
        nesterov, grads = [], grads_of(parameters)
        for parameter, momentum, grad in zip(parameters, momenta, grads, strict=True):
            momentum.lerp_(grad, 1 - MOMENTUM)
            nesterov.append(self._whole(parameter, grad.lerp(momentum, MOMENTUM)).flatten())
        found = group.updates(group.stacked(torch.cat(nesterov)), self._orthogonal)
        lr = self._config.muon_lr * factor
        decay = lr * self._config.muon_weight_decay * factor
        for parameter, update in zip(parameters, _cut(found, parameters), strict=True):
            local = local_of(parameter)
            local.mul_(1 - decay)
            local.add_(part_of(update, self._ranks), alpha=-lr)

    def _orthogonal(self, matrices: Tensor) -> Tensor:
        return orthogonalise_together(matrices, self._dtype, self._ranks)

    def _whole(self, parameter: nn.Parameter, local: Tensor) -> Tensor:
        """Put together what the ranks have of something like a parameter."""
        rows = -(-len(parameter) // self._ranks.size)
        padded = local.new_zeros((rows, *parameter.shape[1:]))
        padded[: len(local)] = local
        return self._ranks.gather(padded)[: len(parameter)]


def _square(grads: list[Tensor], device: torch.device) -> Tensor:
    total = torch.zeros((), device=device)
    for grad in grads:
        total += grad.square().sum()
    return total


def _cut(flat: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Cut what lies one behind the other into tensors shaped like parameters."""
    sizes = [parameter.numel() for parameter in parameters]
    parts = flat.flatten().split(sizes)
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]
