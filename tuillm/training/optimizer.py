"""The optimizers, on flat memory: Muon for the block matrices, AdamW for all else.

All parameters of a group lie in one buffer, and so do their gradients, so that a step is a
handful of operations whatever the number of layers. Large models also have bfloat16
shadows of their matrices, see `model.linear`. Knows tensors and rates; no schedule.
"""

import math

import torch
from torch import Tensor, nn

from tuillm.config import TrainConfig
from tuillm.model import GPT
from tuillm.model.linear import Linear
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.flat_group import FlatGroup
from tuillm.training.muon import Muon, matrix_groups


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
        self._muons = [Muon(group, dtype, ranks) for group in matrix_groups(model, config)]
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


def adamw_parameters(model: GPT, config: TrainConfig) -> list[tuple[list[nn.Parameter], bool]]:
    """Return what AdamW drives: matrices, which decay, then norms and biases, which do not."""
    driven = {id(each) for group in matrix_groups(model, config) for each in group.parameters}
    rest = [each for each in model.parameters() if each.requires_grad and id(each) not in driven]
    matrices = [each for each in rest if each.dim() >= 2]
    others = [each for each in rest if each.dim() < 2]
    return [(group, decays) for group, decays in ((matrices, True), (others, False)) if group]


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
