"""The optimizers, on flat memory: Muon for the block matrices, AdamW for all else.

All parameters of a group lie in one buffer, and so do their gradients, so that a step is a
handful of operations whatever the number of layers. Large models also have bfloat16
shadows of their matrices, see `model.linear`. Knows tensors and rates; no schedule.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tuillm.config import TrainConfig
from tuillm.model import GPT
from tuillm.model.linear import Linear
from tuillm.training.distributed.ranks import Ranks

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
MOMENTUM = 0.95


class FlatGroup:
    """Parameters moved into one buffer `values`, their gradients into another, `grads`.

    The parameters remain usable as before: they become views of the buffer.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        first = self._parameters[0] if self._parameters else torch.empty(0)
        length = sum(parameter.numel() for parameter in self._parameters)
        self.values = torch.empty(length, dtype=first.dtype, device=first.device)
        self.grads = torch.zeros_like(self.values)
        self._shadow: Tensor | None = None
        self._zeroed = [self.grads]
        for parameter, values, grads in zip(
            self._parameters, self._views(self.values), self._views(self.grads), strict=True
        ):
            # one after the other: what a parameter was before is free for what follows
            values.copy_(parameter.detach())
            parameter.data, parameter.grad = values, grads

    def shadow(self, layers: list[Linear]) -> None:
        """Give those layers whose weights are in this group a copy of them in bfloat16.

        Their gradients are written by the backward pass, and need not be zero before it.
        """
        theirs: dict[int, list[Linear]] = {}
        for layer in layers:
            theirs.setdefault(id(layer.weight), []).append(layer)
        self._shadow, self._zeroed = self.values.bfloat16(), []
        for parameter, copy, grads in zip(
            self._parameters, self._views(self._shadow), self._views(self.grads), strict=True
        ):
            for layer in theirs.get(id(parameter), []):
                layer.bf16_shadow = copy
            if id(parameter) not in theirs:
                self._zeroed.append(grads)

    def refresh(self) -> None:
        """Bring the shadows up to date with the values."""
        if self._shadow is not None:
            self._shadow.copy_(self.values)

    def zero(self) -> None:
        """Set the gradients to zero, in place, but for those that the backward pass replaces."""
        for grads in self._zeroed:
            grads.zero_()

    def _views(self, buffer: Tensor) -> list[Tensor]:
        parts = buffer.split([parameter.numel() for parameter in self._parameters])
        return [
            part.view(parameter.shape)
            for part, parameter in zip(parts, self._parameters, strict=True)
        ]


class Optimizer:
    """Steps a GPT by the rules of a TrainConfig."""

    def __init__(
        self,
        model: GPT,
        config: TrainConfig,
        *,
        bf16_shadow: bool = False,
        dtype: torch.dtype = torch.bfloat16,
        ranks: Ranks | None = None,
    ) -> None:
        """`bf16_shadow` keeps the weights of linear layers in bfloat16 beside those in float32.

        `dtype` is the precision of products; Muon's are as well in bfloat16 as in float32, but
        on processors without it these take four times as long. Of several `ranks`, each
        orthogonalises a part of Muon's matrices.
        """
        self._config = config
        ranks = ranks or Ranks()
        self._muons = [Muon(*group, dtype, ranks) for group in matrices_by_shape(model, config)]
        kinds = [(FlatGroup(group), decays) for group, decays in adamw_parameters(model, config)]
        self._groups = [group for group, _ in kinds]
        self._all = [*self._groups, *(muon.flat for muon in self._muons)]
        self._adamw = _adamw(kinds, config)
        self._shadowed = _learning_layers(model) if bf16_shadow else []
        if self._shadowed:
            for group in self._all:
                group.shadow(self._shadowed)
            if model.config.tie_weights and isinstance(model.lm_head, Linear):
                model.wte.head = (model.lm_head,)

    @property
    def grads(self) -> list[Tensor]:
        """The gradients of all parameters, flat."""
        return [group.grads for group in self._all]

    @property
    def values(self) -> list[Tensor]:
        """All parameters that learn, flat."""
        return [group.values for group in self._all]

    @property
    def held(self) -> list[Tensor]:
        """What this process has of the parameters that learn: all of them."""
        return self.values

    @property
    def shadowed(self) -> bool:
        """Whether weights are kept in bfloat16, too."""
        return bool(self._shadowed)

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place: they stay views of their buffers."""
        for group in self._all:
            group.zero()
        for layer in self._shadowed:
            layer.stale = True

    def scale_grads(self, factor: float) -> None:
        """Multiply all gradients by the inverse of the scale that the loss had."""
        for group in self._all:
            group.grads.mul_(factor)

    def step(self, factor: float) -> float:
        """Take one step at `factor` times the peak rates; return the gradients' norm.

        Only AdamW's gradients are clipped: Muon's update has a norm of its own. Gradients whose
        norm is no number change nothing.
        """
        norms = torch.stack([group.grads.norm() for group in self._all])
        if not math.isfinite(norm := float(norms.norm())):
            return norm
        clipped = norms[: len(self._groups)].norm()
        if self._config.grad_clip:
            self._scale((self._config.grad_clip / (clipped + 1e-6)).clamp(max=1))
        for settings in self._adamw.param_groups:
            settings["lr"] = self._config.learning_rate * factor
        self._adamw.step()
        for muon in self._muons:
            muon.step(self._config.muon_lr * factor, self._config.muon_weight_decay * factor)
        self.refresh()
        return norm

    def refresh(self) -> None:
        """Bring the shadows up to date; to be called after the weights were changed elsewhere."""
        for group in self._all:
            group.refresh()

    def _scale(self, factor: Tensor) -> None:
        """Shrink AdamW's gradients, where there are many in the step itself."""
        if self._shadowed:  # the fused step divides by this while it reads them
            self._adamw.grad_scale = 1 / factor  # type: ignore[attr-defined]
            return
        for group in self._groups:
            group.grads *= factor

    @property
    def state_bytes(self) -> int:
        """What `state` takes, in bytes."""
        adamw = sum(8 * group.values.numel() for group in self._groups)
        return adamw + sum(4 * muon.momentum.numel() for muon in self._muons)

    def state(self) -> dict[str, Tensor]:
        """Return everything but the parameters that the next step depends on."""
        state = {f"muon.{index}": muon.momentum for index, muon in enumerate(self._muons)}
        for index, entry in self._adamw.state_dict()["state"].items():
            state |= {f"adamw.{index}.{key}": value for key, value in entry.items()}
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned; raises KeyError when it is of another model."""
        for index, muon in enumerate(self._muons):
            muon.momentum.copy_(state[f"muon.{index}"])
        entries: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            kind, number, *key = name.split(".")
            if kind == "adamw":
                entries.setdefault(int(number), {})[key[0]] = value
        self._adamw.load_state_dict(self._adamw.state_dict() | {"state": entries})
        self.refresh()


class Muon:
    """Momentum, orthogonalised: Muon by Keller Jordan (2024), on n matrices of one shape at once.

    The update is the nearest (semi-)orthogonal matrix to the Nesterov gradient, found by five
    Newton-Schulz steps with his coefficients.
    """

    def __init__(
        self, parameters: list[nn.Parameter], rows: int, cols: int, dtype: torch.dtype, ranks: Ranks
    ) -> None:
        self._dtype, self._ranks = dtype, ranks
        self.flat = FlatGroup(parameters)
        self._values = self.flat.values.view(-1, rows, cols)
        self._grads = self.flat.grads.view(-1, rows, cols)
        self._scale = muon_scale(rows, cols)
        self.momentum = torch.zeros_like(self._grads)

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float) -> None:
        """Take one step; `weight_decay` is the share of the values lost, times lr."""
        self.momentum.lerp_(self._grads, 1 - MOMENTUM)
        nesterov = self._grads.lerp(self.momentum, MOMENTUM)
        update = orthogonalise_together(nesterov, self._dtype, self._ranks)
        if weight_decay:
            self._values.mul_(1 - lr * weight_decay)
        self._values.add_(update, alpha=-lr * self._scale)


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


def matrices_by_shape(model: GPT, config: TrainConfig) -> list[tuple[list[nn.Parameter], int, int]]:
    """Return the matrices that Muon drives, grouped by shape: parameters, rows, columns."""
    matrices = _matrices(model) if config.optimizer == "muon" else []
    return _by_shape(matrices, model.config.n_embd)


def adamw_parameters(model: GPT, config: TrainConfig) -> list[tuple[list[nn.Parameter], bool]]:
    """Return what AdamW drives: matrices, which decay, then norms and biases, which do not."""
    driven = {id(each) for group, *_ in matrices_by_shape(model, config) for each in group}
    rest = [each for each in model.parameters() if each.requires_grad and id(each) not in driven]
    matrices = [each for each in rest if each.dim() >= 2]
    others = [each for each in rest if each.dim() < 2]
    return [(group, decays) for group, decays in ((matrices, True), (others, False)) if group]


def _matrices(model: GPT) -> list[nn.Parameter]:
    return [parameter for parameter in model.h.parameters() if parameter.dim() == 2]


def _by_shape(
    matrices: list[nn.Parameter], width: int
) -> list[tuple[list[nn.Parameter], int, int]]:
    """Group matrices by shape; c_attn [3C, C] counts as three of [C, C]: q, k and v."""
    groups: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in matrices:
        rows, cols = parameter.shape
        rows = width if rows == 3 * width else rows
        groups.setdefault((rows, cols), []).append(parameter)
    return [(parameters, *shape) for shape, parameters in groups.items()]


def _learning_layers(model: GPT) -> list[Linear]:
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, Linear) and layer.weight.requires_grad
    ]


def _adamw(kinds: list[tuple[FlatGroup, bool]], config: TrainConfig) -> torch.optim.AdamW:
    groups = []
    for group, decays in kinds:
        values = nn.Parameter(group.values)
        values.grad = group.grads
        groups.append({"params": [values], "weight_decay": config.weight_decay if decays else 0.0})
    fused = kinds[0][0].values.device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=fused
    )
