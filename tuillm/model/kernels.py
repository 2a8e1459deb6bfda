"""The kernels a model can decode with on a CPU, declared: where each works, and how exact it is.

A kernel computes the products of one token with all weights. Knows which there are; measures
nothing and remembers nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from tuillm.model.linear_kernels import (
    InOutLinear,
    Int8Linear,
    Int8WeightLinear,
    PackedLinear,
    PlainLinear,
    can_int8,
    can_int8_weight,
    can_pack,
)
from tuillm.native.compiled import library

Make = Callable[[nn.Linear, torch.dtype], nn.Module]


@dataclass(frozen=True)
class Kernel:
    """A way to decode in some precisions.

    `needs` says what it needs to work here, `inputs` how precise what is multiplied with the
    weights is. `make` packs a layer; None: all layers are computed at once by the native library.
    `isa` is what oneDNN is held to (ONEDNN_MAX_CPU_ISA) before it is first used. `works` tells
    whether it can be had here in a precision.
    """

    name: str
    dtypes: tuple[str, ...]
    needs: str
    inputs: str
    works: Callable[[str], bool]
    make: Make | None = None
    isa: str = ""
    last_resort: bool = False  # too coarse to be taken where another works


def _always(dtype: str) -> bool:
    return True


def _packs(dtype: str) -> bool:
    return can_pack(getattr(torch, dtype))


def _has_amx() -> bool:
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("amx_bf16"))


_FLOATS = ("float32", "bfloat16")
_ISA = "ONEDNN_MAX_CPU_ISA"
KERNELS = (
    Kernel(
        "native",
        (*_FLOATS, "int8"),
        "a C compiler, once",
        "float32; for int8 rounded to 8 bits by 64 values",
        lambda dtype: library() is not None,
    ),
    Kernel("packed", _FLOATS, "oneDNN", "as precise as the weights", _packs, PackedLinear),
    Kernel(
        "packed_no_amx",
        ("bfloat16",),
        "oneDNN, a CPU with AMX",
        "as precise as the weights",
        lambda dtype: _packs(dtype) and _has_amx(),
        PackedLinear,
        "AVX512_CORE_BF16",
    ),
    Kernel("plain", _FLOATS, "nothing", "as precise as the weights", _always, PlainLinear),
    Kernel("in_out", _FLOATS, "nothing", "as precise as the weights", _always, InOutLinear),
    Kernel(
        "int8_weight_only",
        ("int8",),
        "PyTorch's int8 x bfloat16 product",
        "bfloat16",
        lambda dtype: can_int8_weight(),
        Int8WeightLinear,
    ),
    Kernel(
        "int8_dynamic",
        ("int8",),
        "PyTorch's quantized products",
        "rounded to 8 bits by the largest of all",
        lambda dtype: can_int8(),
        Int8Linear,
        last_resort=True,  # one large input, as gated MLPs have, leaves few steps for all others
    ),
)
BY_NAME = {kernel.name: kernel for kernel in KERNELS}


def kernels_for(dtype: str) -> list[Kernel]:
    """Return those that work here in a precision, the likely fastest first."""
    return list(working_kernels(dtype))


def working_kernels(dtype: str) -> Iterator[Kernel]:
    """Yield them one by one: whether one works is tried when it is its turn."""
    return (kernel for kernel in KERNELS if dtype in kernel.dtypes and kernel.works(dtype))


def kernels_to_choose_from(dtype: str) -> list[Kernel]:
    """Return those that work here, without a last resort where there is another."""
    there = kernels_for(dtype)
    return [kernel for kernel in there if not kernel.last_resort] or there


def can_decode_int8() -> bool:
    """Whether there is a kernel for int8 here."""
    return library() is not None or can_int8() or can_int8_weight()


@contextmanager
def held_isa(kernel: Kernel) -> Iterator[None]:
    """Hold oneDNN to what a kernel wants: it looks once in a process, when it is first used.

    Processes that are started later know nothing of it.
    """
    if not kernel.isa or _ISA in os.environ:
        yield
        return
    os.environ[_ISA] = kernel.isa
    try:
        yield
    finally:
        del os.environ[_ISA]
