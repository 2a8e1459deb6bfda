"""Where and how precisely a model computes: device, precision, and weights packed for decoding.

On CPUs, decoding is bound by reading the weights: oneDNN's packed layout reads them at memory
speed, in bfloat16 half as many bytes. The packing operators are private to PyTorch, so they are
probed once, and plain products are used where they are missing.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuillm.errors import UsageError
from tuillm.model.gpt import GPT

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_LARGE = 30_000_000


def choose_device(wanted: str) -> torch.device:
    """Return the device of a name; `auto` is cuda, then mps, then cpu. Raises UsageError."""
    have = {"cpu": True, "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if have[name]))
    if not have.get(wanted):
        options = ", ".join(name for name, there in have.items() if there)
        raise UsageError(f"device {wanted!r} is not there", f"this machine has {options}")
    return torch.device(wanted)


def choose_dtype(wanted: str, device: torch.device, parameters: int) -> torch.dtype:
    """Return the decoding precision of a name; `auto` is bfloat16 where that is faster.

    On CPUs that is where they have bfloat16 units and the model is too large for their caches.
    """
    if wanted in _DTYPES:
        return _DTYPES[wanted]
    if wanted != "auto":
        raise UsageError(f"dtype cannot be {wanted!r}", "allowed: auto, " + ", ".join(_DTYPES))
    if device.type == "cpu":
        fast = parameters >= _LARGE and has_fast_bfloat16()
    else:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


@cache
def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16")
                or capability.get("bf16"))


def pack(model: GPT, dtype: torch.dtype) -> GPT:
    """Make a model ready to decode in `dtype`, in place, and return it; it cannot train after.

    Each matrix is replaced as soon as its packed copy stands, so that the weights are in
    memory once and not twice. The residual stream stays in float32 on CPUs.
    """
    model.eval().requires_grad_(False)
    if model.wte.weight.device.type != "cpu":
        return model.to(dtype)
    places = [(module, name, child) for module in model.modules()
              for name, child in module.named_children() if isinstance(child, nn.Linear)]

    def replace(place: tuple[nn.Module, str, nn.Linear]) -> None:
        setattr(place[0], place[1], PackedLinear(place[2], dtype))

    # two at a time: much of it is waiting for the system to hand out memory
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(replace, places))
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
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)


def _pack(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 1)


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
