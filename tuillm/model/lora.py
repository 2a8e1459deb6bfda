"""LoRA: small matrices that learn beside frozen weights, and are added to them in the end.

A layer computes W x + b + (alpha / rank) B A x, where only A [rank, in] and B [out, rank] learn
(Hu et al. 2021, arXiv:2106.09685). On CPUs with bfloat16 units the frozen weights lie ready in
oneDNN's packed layout, one copy for each pass; the float32 ones stay mapped from the file they
came from, and are read when the sum is written.

Knows tensors, and the files that PEFT keeps an adapter in.
"""

import json
import math
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuillm.formats.json_text import JsonObject
from tuillm.model.gpt import GPT
from tuillm.model.linear import Linear
from tuillm.model.linear_kernels import PackedLinear
from tuillm.model.save_safetensors import LazyTensor, save_tensors

_MARK = ".lora_"
_BASE = ".base"


def add_lora(
    model: GPT, rank: int, alpha: float, targets: tuple[str, ...], generator: torch.Generator
) -> None:
    """Freeze a model, in place, and give the layers named in `targets` adapters of no effect yet.

    `targets` are ends of names as PEFT takes them: "c_attn" is that layer of every block,
    "mlp.c_proj" one of two of that name. A is drawn as PEFT draws it, B is zero. The weights
    frozen may lie in a mapped file.
    """
    model.requires_grad_(False)
    for path, module in list(model.named_modules()):
        for name, layer in list(module.named_children()):
            if not isinstance(layer, Linear):
                continue
            whole = f"{path}.{name}"
            if any(whole.endswith("." + target) for target in targets):
                setattr(module, name, LoRALinear.beside(layer, rank, alpha, generator))
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
            # turned: that is how it lies in the file
            f"{name}{_BASE}": layer.weight.t(),
        }
    return state


def load_adapter_state(model: GPT, state: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Put back what `adapter_state` returned; raises KeyError or RuntimeError for others."""
    with torch.no_grad():
        for name, layer in adapted(model).items():
            layer.lora_A.copy_(state[f"{name}{_MARK}A"])
            layer.lora_B.copy_(state[f"{name}{_MARK}B"])
            base = state[f"{name}{_BASE}"].t()
            if base.shape != layer.weight.shape:
                raise RuntimeError(f"{name} is {list(base.shape)}")
            layer.weight.data = base.to(layer.weight.device)
            layer.pack(dtype)


def write_adapter(model: GPT, folder: Path, base: str) -> None:
    """Write the adapters as PEFT does, for the model `base`, into a new folder.

    PEFT's `PeftModel.from_pretrained(GPT2LMHeadModel, folder)` opens it. GPT-2's layers are
    Conv1D there, which `fan_in_fan_out` says.
    """
    layers = adapted(model)
    first = next(iter(layers.values()))
    targets = dict.fromkeys(_target(name) for name in layers)
    config: JsonObject = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": len(first.lora_A),
        "lora_alpha": first.alpha,
        "lora_dropout": 0.0,
        "target_modules": list(targets),
        "fan_in_fan_out": True,
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
        f"base_model.model.transformer.{name}.lora_{part}.weight": getattr(layer, f"lora_{part}")
        .detach()
        .float()
        .cpu()
        .contiguous()
        for name, layer in layers.items()
        for part in "AB"
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
        a, b = self.factors(x.dtype)
        if torch.compiler.is_compiling():  # what _Frozen does by hand, a compiler finds itself
            found = super().product(x)
            return found if a is None or b is None else found + F.linear(F.linear(x, a), b)
        y: Tensor = _Frozen.apply(x.flatten(0, -2), a, b, self)
        return y.view(*x.shape[:-1], -1)

    def factors(self, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """The adapter's A and its B with the strength in it, if the layer has one."""
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
    """A frozen layer with an adapter beside it, which learns."""

    alpha: float
    lora_A: nn.Parameter
    lora_B: nn.Parameter

    @classmethod
    def beside(cls, layer: Linear, rank: int, alpha: float, generator: torch.Generator) -> Self:
        """Return a layer with an adapter that changes nothing yet."""
        self = cls.of(layer)
        self.alpha = alpha
        bound = 1 / math.sqrt(layer.in_features)  # kaiming_uniform with a = sqrt(5), as PEFT has it
        a = torch.empty(rank, layer.in_features).uniform_(-bound, bound, generator=generator)
        self.lora_A = nn.Parameter(a)
        self.lora_B = nn.Parameter(torch.zeros(layer.out_features, rank))
        return self

    @property
    def strength(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / len(self.lora_A)

    def factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.lora_A.to(dtype), (self.lora_B * self.strength).to(dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The weight [out, in] with the adapter added; its transpose is what lies in memory."""
        return torch.addmm(
            self.weight.t(), self.lora_A.t(), self.lora_B.t(), alpha=self.strength
        ).t()


class _Frozen(torch.autograd.Function):
    """x [N, in] -> [N, out] by a frozen weight, with a [rank, in] and b [out, rank] or neither."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor | None, b: Tensor | None, layer: FrozenLinear
    ) -> Tensor:
        y, ctx.layer = layer.product(x), layer
        if a is None or b is None:
            return y
        inner = F.linear(x, a)  # [N, rank]
        ctx.save_for_backward(x, a, b, inner)
        return y.addmm_(inner, b.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0].contiguous()
        back = ctx.layer.product_back(grad) if ctx.needs_input_grad[0] else None
        saved = ctx.saved_tensors  # looked at once: checkpointing allows no more
        if not saved:
            return back, None, None, None
        x, a, b, inner = saved
        through = grad @ b  # [N, rank]
        if back is not None:
            back.addmm_(through, a)
        return back, through.t() @ x, grad.t() @ inner, None


def _target(name: str) -> str:
    """The end of a layer's name that tells it apart: two of a block are called c_proj."""
    return ".".join(name.split(".")[-2 if name.endswith("c_proj") else -1 :])
