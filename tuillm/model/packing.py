"""Weights laid out for decoding, where a step takes as long as it takes to read them.

On CPUs oneDNN's blocked layout is read at memory speed; bfloat16 halves the bytes, int8 quarters
them. The operators are private to PyTorch, so they are probed once; plain products stand in for
the first two. Knows layers; which precision suits is the business of `precision`.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuillm.errors import UsageError
from tuillm.model.gpt import GPT
from tuillm.model.malloc import give_back_freed_memory, keep_freed_memory

_CPU = torch.device("cpu")
_AT_ONCE = 200_000  # weights, less than a megabyte of them: see `give_back_freed_memory`


def pack(model: GPT, dtype: torch.dtype, device: torch.device = _CPU) -> GPT:
    """Make a model ready to decode in `dtype` on `device`, in place; it cannot train after.

    Each matrix is replaced as soon as its packed copy stands, so that the weights are in
    memory once and not twice. The residual stream stays in float32 on CPUs. Raises UsageError
    for int8 where it is not to be had.
    """
    model.eval().requires_grad_(False)
    on_cpu = device.type == "cpu"
    if dtype == torch.int8 and not (on_cpu and can_int8()):
        raise UsageError(
            "int8 needs a CPU and PyTorch's quantized products",
            "allowed here: auto, float32, bfloat16",
        )
    if not on_cpu:
        return model.to(device, dtype)
    # the head first: it is the largest, and little else is in memory yet
    layers = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Linear)
    ]

    def replace(layer: tuple[nn.Module, str, nn.Linear]) -> None:
        module, name, linear = layer
        packed = Int8Linear(linear) if dtype == torch.int8 else PackedLinear(linear, dtype)
        setattr(module, name, packed)

    # two at a time: much of it is waiting for the system to hand out memory
    give_back_freed_memory()
    with ThreadPoolExecutor(2) as pool:
        while layers:
            list(pool.map(replace, [layers.pop(0) for _ in range(min(2, len(layers)))]))
    keep_freed_memory()
    return model


class PackedLinear(nn.Module):
    """x [..., in] -> [..., out] with weights in oneDNN's blocked layout, or plainly without it.

    Takes any precision and returns `dtype`: what is added to the float32 stream is promoted
    there, and what goes into the next product need not be cast twice.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        weight = linear.weight.detach()
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)
        self.packed = _can_pack(dtype)
        self.weight = _pack(weight.to(dtype)) if self.packed else weight.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if self.packed:
            product = torch.ops.mkldnn._linear_pointwise
            y: Tensor = product(x, self.weight, self.bias, "none", [], "")
            return y
        return F.linear(x, self.weight, self.bias)


class Int8Linear(nn.Module):
    """x [..., in] -> [..., out] in float32 with weights in 8 bits, a scale for each output.

    The input is rounded to 8 bits as well, by the largest value of what is read at once. A text's
    first token is read by itself: GPT-2's activations are a hundred times larger there than
    anywhere else, and would leave the others no bits.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().float()
        self.packed = _quantize(linear.weight.detach(), bias)
        self.out_features = linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if x.dim() == 2 or x.shape[1] == 1:
            return _int8_product(x, self.packed)
        first, rest = _int8_product(x[:, :1], self.packed), _int8_product(x[:, 1:], self.packed)
        return torch.cat((first, rest), 1)


@cache
def can_int8() -> bool:
    """Whether this PyTorch has the quantized products, and they are right."""
    try:
        x, weight = torch.randn(2, 32), torch.randn(48, 32)
        y = _int8_product(x, _quantize(weight, None))
        return torch.allclose(y, F.linear(x, weight), atol=0.5, rtol=0.1)
    except (AttributeError, RuntimeError):
        return False


def _quantize(weight: Tensor, bias: Tensor | None) -> torch.ScriptObject:
    """Pack [out, in] in 8 bits, each row scaled by its largest value."""
    rounded = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight))
    rows = max(1, _AT_ONCE // weight.shape[1])  # what is in between stays small
    work = torch.empty(rows, weight.shape[1])  # once: new memory takes longer than the products
    for start in range(0, len(weight), rows):
        part = work[: len(weight) - start].copy_(weight[start : start + rows])
        scale = (torch.maximum(part.amax(1), -part.amin(1)) / 127).clamp_(min=1e-12)
        rounded[start : start + rows] = part.div_(scale[:, None]).round_()
        scales[start : start + rows] = scale
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():  # a later PyTorch will lack it, as pyproject.toml knows
        warnings.simplefilter("ignore")
        quantized = torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0)
    packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(quantized, bias)
    return packed


def _int8_product(x: Tensor, packed: torch.ScriptObject) -> Tensor:
    # without VNNI pairs of products overflow unless one bit is given up
    y: Tensor = torch.ops.quantized.linear_dynamic(x, packed, not _has_vnni())
    return y


@cache
def _has_vnni() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("avx512_vnni") or capability.get("avx_vnni"))


def _pack(weight: Tensor) -> Tensor:
    reordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 1)
    return reordered


@cache
def _can_pack(dtype: torch.dtype) -> bool:
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        x, weight = torch.randn(2, 32).to(dtype), torch.randn(48, 32).to(dtype)
        y = torch.ops.mkldnn._linear_pointwise(x, _pack(weight), None, "none", [], "")
        return torch.allclose(y.float(), F.linear(x, weight).float(), atol=0.1, rtol=0.02)
    except (AttributeError, RuntimeError):
        return False
