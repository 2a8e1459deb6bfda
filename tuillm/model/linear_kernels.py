"""Ways to compute a linear layer for decoding, where a step takes as long as reading the weights.

On CPUs oneDNN's blocked layout is often read fastest; bfloat16 halves the bytes, int8 quarters
them. Some operators are private to PyTorch: each is probed once. Knows layers; which way is
fastest is the business of `kernel_choice`.
"""

import warnings
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_INT8_COLUMNS = 32
# logits of a position that are computed again in float32, of so many positions at once
_AGAIN, _ROWS_AGAIN = 64, 16
_AT_ONCE = 200_000  # weights, less than a megabyte of them: see `give_back_freed_memory`


class PlainLinear(nn.Module):
    """x [..., in] -> [..., out] as PyTorch computes it, weights [out, in] in `dtype`."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = linear.weight.detach().to(dtype).contiguous()
        self.bias = _bias(linear, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.dtype), self.weight, self.bias)


class LogitsLinear(PlainLinear):
    """The head, without a bias: x [..., in] -> logits [..., out] in float32, weights in bfloat16.

    PyTorch rounds what such a product gives to bfloat16, logits near 20 to an eighth: that decides
    between likely tokens by chance. The largest of each position are computed again in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x).float()
        parts = logits.flatten(0, -2).split(_ROWS_AGAIN)
        for given, part in zip(x.float().flatten(0, -2).split(_ROWS_AGAIN), parts, strict=True):
            best = part.topk(min(_AGAIN, part.shape[1]), sorted=False).indices
            exact = torch.bmm(self.weight[best].float(), given.unsqueeze(2)).squeeze(2)
            part.scatter_(1, best, exact)
        return logits


class InOutLinear(PlainLinear):
    """The same with weights [in, out]: one row of them after the other is added up."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(linear, dtype)
        self.weight = self.weight.t().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(self.dtype) @ self.weight
        return y if self.bias is None else y + self.bias


class PackedLinear(nn.Module):
    """x [..., in] -> [..., out] with weights in oneDNN's blocked layout, or plainly without it.

    Takes any precision and returns `dtype`: what is added to the float32 stream is promoted
    there, and what goes into the next product need not be cast twice.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        weight = linear.weight.detach()
        self.bias = _bias(linear, dtype)
        self.packed = can_pack(dtype)
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

    def __init__(self, linear: nn.Linear, dtype: torch.dtype = torch.int8) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().float()
        rounded, scales = _quantize(linear.weight.detach())
        self.packed = _pack_int8(rounded, scales, bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if x.dim() == 2 or x.shape[1] == 1:
            return _int8_product(x, self.packed)
        first, rest = _int8_product(x[:, :1], self.packed), _int8_product(x[:, 1:], self.packed)
        return torch.cat((first, rest), 1)


class Int8WeightLinear(nn.Module):
    """x [..., in] -> [..., out] with weights in 8 bits, multiplied as bfloat16: x is not rounded
    to 8 bits."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype = torch.int8) -> None:
        super().__init__()
        self.weight, scales = _quantize(linear.weight.detach())
        self.scales = scales.bfloat16()
        self.bias = _bias(linear, torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.bfloat16().reshape(-1, x.shape[-1])
        if flat.shape[1] % _INT8_COLUMNS:  # PyTorch 2.13 reads beyond the end of such rows
            y = flat @ self.weight.bfloat16().t() * self.scales
        else:
            y = torch._weight_int8pack_mm(flat, self.weight, self.scales)
        y = y if self.bias is None else y + self.bias
        return y.view(*x.shape[:-1], -1)


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's packed product in `dtype`, and it is right."""
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.random.fork_rng(devices=[]):
            x, weight = torch.randn(2, 32).to(dtype), torch.randn(48, 32).to(dtype)
        y = torch.ops.mkldnn._linear_pointwise(x, _pack(weight), None, "none", [], "")
        return torch.allclose(y.float(), F.linear(x, weight).float(), atol=0.1, rtol=0.02)
    except (AttributeError, RuntimeError):
        return False


@cache
def can_int8() -> bool:
    """Whether this PyTorch has the quantized products, and they are right."""
    return _is_right(Int8Linear)


@cache
def can_int8_weight() -> bool:
    """Whether this PyTorch multiplies bfloat16 with weights in 8 bits, and it is right."""
    return _is_right(Int8WeightLinear)


def _is_right(kind: type[nn.Module]) -> bool:
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):  # a program's own stays as it is
            linear, x = nn.Linear(64, 64, bias=False), torch.randn(2, 64)
            y = kind(linear)(x).float()
            return torch.allclose(y, linear(x), atol=0.5, rtol=0.1)
    except (AttributeError, RuntimeError):
        return False


def _bias(linear: nn.Linear, dtype: torch.dtype) -> Tensor | None:
    return None if linear.bias is None else linear.bias.detach().to(dtype)


def _quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round [out, in] to 8 bits, each row scaled by its largest value; the scales [out]."""
    rounded = torch.empty(weight.shape, dtype=torch.int8)
    scales = torch.empty(len(weight))
    rows = max(1, _AT_ONCE // weight.shape[1])  # what is in between stays small
    work = torch.empty(rows, weight.shape[1])  # once: new memory takes longer than the products
    for start in range(0, len(weight), rows):
        part = work[: len(weight) - start].copy_(weight[start : start + rows])
        scale = (torch.maximum(part.amax(1), -part.amin(1)) / 127).clamp_(min=1e-12)
        rounded[start : start + rows] = part.div_(scale[:, None]).round_()
        scales[start : start + rows] = scale
    return rounded, scales


def _pack_int8(rounded: Tensor, scales: Tensor, bias: Tensor | None) -> torch.ScriptObject:
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
