"""LoRA: small matrices that learn beside frozen weights, and are added to them in the end.

A layer computes W x + b + (alpha / rank) B A x, where only A [rank, in] and B [out, rank] learn
(Hu et al. 2021, arXiv:2106.09685). Layers that a family has as several (q, k and v) are one here:
each part, a range of rows, then has an A and a B of its own. On CPUs with bfloat16 units the frozen
weights lie ready in oneDNN's packed layout, one copy for each pass; the float32 ones stay mapped
from the file they came from, and are read when the sum is written.

Knows tensors, and the files that PEFT keeps an adapter in.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuillm.config.lora_layers import LoRAPart, lora_parts
from tuillm.formats.json_text import JsonObject
from tuillm.model.gpt import GPT
from tuillm.model.linear import Linear
from tuillm.model.linear_kernels import PackedLinear
from tuillm.model.save_safetensors import LazyTensor, save_tensors

_MARK = ".lora_"
_BASE = ".base"


def add_lora(
    model: GPT, rank: int, alpha: float, targets: Sequence[str] | None, generator: torch.Generator
) -> None:
    """Freeze a model, in place, and give the layers named in `targets` adapters of no effect yet.

    `targets` are names as `config.lora_layers` has them. A is drawn as PEFT draws it, B is zero.
    The weights frozen may lie in a mapped file.
    """
    model.requires_grad_(False)
    parts: dict[str, list[LoRAPart]] = {}
    for part in lora_parts(model.config, targets):
        parts.setdefault(part.layer, []).append(part)
    for path, module in list(model.named_modules()):
        for name, layer in list(module.named_children()):
            if not isinstance(layer, Linear):
                continue
            if found := parts.get(f"{path}.{name}"):
                setattr(module, name, LoRALinear.beside(layer, found, rank, alpha, generator))
            else:
                setattr(module, name, FrozenLinear.of(layer))


def pack_frozen(model: GPT, dtype: torch.dtype) -> None:
    """Pack the frozen weights of a model with adapters for training in `dtype`, where it pays."""
    for layer in model.modules():
        if isinstance(layer, FrozenLinear):
            layer.pack(dtype)


def is_packed(model: GPT) -> bool:
    """Whether frozen weights of a model are packed."""
    return any(isinstance(layer, FrozenLinear) and layer.packed for layer in model.modules())


def adapted(model: GPT) -> dict[str, "LoRALinear"]:
    """Return the layers of a model that have adapters, by name; none for other models."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoRALinear)}


def merged_state(model: GPT) -> dict[str, Tensor | LazyTensor]:
    """Return a model's state dict with its adapters, if it has any, added to the weights.

    The sums are made one by one, when they are asked for.
    """
    state: dict[str, Tensor | LazyTensor] = {
        name: value for name, value in model.state_dict().items() if _MARK not in name
    }
    for name, layer in adapted(model).items():
        shape = tuple(layer.weight.shape)
        state[f"{name}.weight"] = LazyTensor(shape, torch.float32, layer.merged)
    return state


def adapter_state(model: GPT) -> dict[str, Tensor]:
    """Return what a merged model no longer tells: the adapters, and the weights they change."""
    state: dict[str, Tensor] = {}
    for name, layer in adapted(model).items():
        state |= {
            # copied: they may be an average that is soon replaced
            f"{name}{_MARK}A": layer.lora_A.detach().clone(),
            f"{name}{_MARK}B": layer.lora_B.detach().clone(),
            # as it lies in the file
            f"{name}{_BASE}": layer.weight.t() if layer.turned else layer.weight,
        }
    return state


def load_adapter_state(model: GPT, state: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Put back what `adapter_state` returned; raises KeyError or RuntimeError for others."""
    with torch.no_grad():
        for name, layer in adapted(model).items():
            layer.lora_A.copy_(state[f"{name}{_MARK}A"])
            layer.lora_B.copy_(state[f"{name}{_MARK}B"])
            base = state[f"{name}{_BASE}"]
            base = base.t() if layer.turned else base
            if base.shape != layer.weight.shape:
                raise RuntimeError(f"{name} is {list(base.shape)}")
            layer.weight.data = base.to(layer.weight.device)
            layer.pack(dtype)


def write_adapter(model: GPT, folder: Path, base: str) -> None:
    """Write the adapters as PEFT does, for the model `base`, into a new folder.

    PEFT's `PeftModel.from_pretrained` opens it with transformers' model of the family. GPT-2's
    layers are Conv1D there, which `fan_in_fan_out` says.
    """
    layers = adapted(model).values()
    first, parts = next(iter(layers)), [part for layer in layers for part in layer.parts]
    config: JsonObject = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": first.rank,
        "lora_alpha": first.alpha,
        "lora_dropout": 0.0,
        "target_modules": list(dict.fromkeys(part.target for part in parts)),
        "fan_in_fan_out": first.turned,
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))
    tensors = {
        f"base_model.model.{part.name}.lora_{which}.weight": matrix.detach().float()
        for layer in layers
        for part, *matrices in layer.factors_of_parts()
        for which, matrix in zip("AB", matrices, strict=True)
    }
    save_tensors(tensors, folder / "adapter_model.safetensors", {"format": "pt"})


class FrozenLinear(Linear):
    """A linear layer that does not learn, and lets gradients pass."""

    # the weight packed for the forward pass, and turned for the backward pass
    packed: tuple[PackedLinear, PackedLinear] | None = None

    @classmethod
    def of(cls, layer: Linear) -> Self:
        """Return a layer of the same weight and bias, which are shared."""
        self = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        self.weight, self.bias = layer.weight, layer.bias
        return self

    def pack(self, dtype: torch.dtype) -> None:
        """Lay the weight out for bfloat16 products on a CPU; in float32 it stays as it is."""
        if dtype != torch.bfloat16 or self.weight.device.type != "cpu":
            return
        turned = Linear(self.out_features, self.in_features, bias=False)
        turned.weight = nn.Parameter(self.weight.t(), requires_grad=False)
        self.packed = PackedLinear(self, dtype), PackedLinear(turned, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out], in autocast's precision where that is on."""
        if torch.is_autocast_enabled(kind := x.device.type):
            x = x.to(torch.get_autocast_dtype(kind))
        if torch.compiler.is_compiling():  # what _Frozen does by hand, a compiler finds itself
            return self.traced(x)
        y: Tensor = _Frozen.apply(x.flatten(0, -2), *self.factors(x.dtype), self)
        return y.view(*x.shape[:-1], -1)

    def traced(self, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out], in operations that a compiler knows the gradients of."""
        return super().product(x)

    def factors(self, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """A and B of the adapters, B with the strength in it, if the layer has any."""
        return None, None

    def product(self, x: Tensor) -> Tensor:
        if self.packed and x.dtype == torch.bfloat16:
            y: Tensor = self.packed[0](x)
            return y
        return super().product(x)

    def product_back(self, grad: Tensor) -> Tensor:
        if self.packed and grad.dtype == torch.bfloat16:
            x: Tensor = self.packed[1](grad)
            return x
        return super().product_back(grad)


class LoRALinear(FrozenLinear):
    """A frozen layer with adapters beside it, which learn: one for each of its `parts`.

    P parts of R rows altogether: their A lie one below the other in `lora_A` [P rank, in], their B
    in `lora_B` [R, rank].
    """

    rank: int
    alpha: float
    parts: tuple[LoRAPart, ...]
    lora_A: nn.Parameter
    lora_B: nn.Parameter

    @classmethod
    def beside(
        cls,
        layer: Linear,
        parts: Sequence[LoRAPart],
        rank: int,
        alpha: float,
        generator: torch.Generator,
    ) -> Self:
        """Return a layer with adapters that change nothing yet."""
        self = cls.of(layer)
        self.parts, self.rank, self.alpha = tuple(parts), rank, alpha
        bound = 1 / math.sqrt(layer.in_features)  # kaiming_uniform with a = sqrt(5), as PEFT has it
        a = torch.empty(len(parts) * rank, layer.in_features)
        self.lora_A = nn.Parameter(a.uniform_(-bound, bound, generator=generator))
        self.lora_B = nn.Parameter(torch.zeros(sum(part.rows for part in parts), rank))
        return self

    @property
    def strength(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank

    @property
    def turned(self) -> bool:
        """Whether the weight lies in memory, and in files, as [in, out]."""
        return self.parts[0].turned

    def factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.lora_A.to(dtype), (self.lora_B * self.strength).to(dtype)

    def traced(self, x: Tensor) -> Tensor:
        a, b = self.factors(x.dtype)
        y, inner = super().traced(x), F.linear(x, a)
        for part, own, matrix in zip(
            self.parts, inner.split(self.rank, -1), self._rows(b), strict=True
        ):
            behind = self.out_features - part.begin - part.rows
            y = y + F.pad(F.linear(own, matrix), (part.begin, behind))
        return y

    def factors_of_parts(self) -> list[tuple[LoRAPart, Tensor, Tensor]]:
        """Each part with its A [rank, in] and its B [rows, rank]."""
        matrices = self.lora_A.split(self.rank), self._rows(self.lora_B)
        return list(zip(self.parts, *matrices, strict=True))

    def cut(self, y: Tensor, inner: Tensor, b: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Cut y [N, out], inner [N, P rank] and b [R, rank] into those of each part."""
        columns = [y[:, part.begin : part.begin + part.rows] for part in self.parts]
        return list(zip(columns, inner.split(self.rank, 1), self._rows(b), strict=True))

    def _rows(self, b: Tensor) -> tuple[Tensor, ...]:
        return torch.split(b, [part.rows for part in self.parts])

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The weight [out, in] with the adapters added; it lies in memory as the weight does."""
        total = self.weight.clone()
        for part, a, b in self.factors_of_parts():
            total[part.begin : part.begin + part.rows].addmm_(b, a, alpha=self.strength)
        return total


class _Frozen(torch.autograd.Function):
    """x [N, in] -> [N, out] by a frozen weight, with the stacked A and B of adapters or neither."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor | None, b: Tensor | None, layer: FrozenLinear
    ) -> Tensor:
        y, ctx.layer = layer.product(x), layer
        if a is None or b is None or not isinstance(layer, LoRALinear):
            return y
        inner = F.linear(x, a)  # [N, P rank]
        ctx.save_for_backward(x, a, b, inner)
        for columns, own, matrix in layer.cut(y, inner, b):
            columns.addmm_(own, matrix.t())
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0].contiguous()
        back = ctx.layer.product_back(grad) if ctx.needs_input_grad[0] else None
        saved = ctx.saved_tensors  # looked at once: checkpointing allows no more
        if not saved:
            return back, None, None, None
        x, a, b, inner = saved
        parts = ctx.layer.cut(grad, inner, b)
        through = _joined([columns @ matrix for columns, _, matrix in parts], 1)  # [N, P rank]
        of_b = _joined([columns.t() @ own for columns, own, _ in parts], 0)
        if back is not None:
            back.addmm_(through, a)
        return back, through.t() @ x, of_b, None


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
