"""Where and how precisely a model computes, by name or by what this machine is good at."""

from functools import cache

import psutil
import torch

from tuillm.config.gpt_config import LARGE_MODEL
from tuillm.errors import UsageError
from tuillm.model.kernels import can_decode_int8
from tuillm.native.compiled import library
from tuillm.units import size

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
_SPARE = 1.15  # of the weights' size: the cache of a conversation, and what packing needs


def choose_device(wanted: str) -> torch.device:
    """Return the device of a name; `auto` is cuda, then mps, then cpu. Raises UsageError."""
    have = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if have[name]))
    if not have.get(wanted):
        options = ", ".join(name for name, there in have.items() if there)
        raise UsageError(f"device {wanted!r} is not there", f"this machine has {options}")
    return torch.device(wanted)


def choose_dtype(
    wanted: str, device: torch.device, parameters: int, free: int | None = None
) -> tuple[torch.dtype, str]:
    """Return the decoding precision of a name, and in words why `auto` took it.

    `auto` is bfloat16 where that is faster: on CPUs where they have bfloat16 units or the native
    library is there, and the model is too large for their caches. Where the weights would not fit
    into `free` bytes of memory (by default what there is), it is the first of bfloat16 and int8
    that does. Raises UsageError for an unknown name.
    """
    if wanted in _DTYPES:
        return _DTYPES[wanted], ""
    if wanted != "auto":
        raise UsageError(f"dtype cannot be {wanted!r}", "allowed: auto, " + ", ".join(_DTYPES))
    if device.type == "cpu":
        fast = parameters >= LARGE_MODEL and (library() is not None or has_fast_bfloat16())
    else:
        fast = gpu_has_bfloat16(device)
    best = torch.bfloat16 if fast else torch.float32
    free = free_memory(device) if free is None else free
    need = int(parameters * best.itemsize * _SPARE)
    if need <= free:
        return best, ""
    halves = best == torch.float32 and (library() is not None or has_fast_bfloat16())
    smaller = [torch.bfloat16] if halves else []
    smaller += [torch.int8] if device.type == "cpu" and can_decode_int8() else []
    fitting = [kind for kind in smaller if parameters * kind.itemsize * _SPARE <= free]
    kind = (fitting or smaller[-1:] or [best])[0]
    name = str(best).removeprefix("torch.")
    return kind, f"{name} would take {size(need)} of memory, and {size(free)} are free"


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free where a device computes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def gpu_has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU multiplies bfloat16 matrices in hardware; older ones only pretend to."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


@cache
def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware."""
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(
        capability.get("avx512_bf16") or capability.get("amx_bf16") or capability.get("bf16")
    )
