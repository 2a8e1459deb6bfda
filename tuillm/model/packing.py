"""A model made ready to decode: its weights laid out for one of the kernels, or moved to a GPU.

Knows how a model is packed; which kernel is fastest is the business of `kernel_choice`.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from tuillm.errors import UsageError
from tuillm.model.gpt import GPT
from tuillm.model.kernel_choice import choose_kernel
from tuillm.model.kernels import BY_NAME, Kernel, held_isa, kernels_for
from tuillm.model.malloc import give_back_freed_memory, keep_freed_memory
from tuillm.model.native_gpt import NativeGPT
from tuillm.native.compiled import library

_CPU = torch.device("cpu")

# what decodes: both are called alike
Decoder = GPT | NativeGPT


def pack(
    model: GPT, dtype: torch.dtype, device: torch.device = _CPU, kernel: str | None = None
) -> Decoder:
    """Make a model ready to decode in `dtype` on `device`; it cannot train after.

    On a CPU it is packed for a `kernel` by name, by default the one that is chosen for this
    machine. Each matrix is replaced as soon as its packed copy stands, so that the weights are in
    memory once and not twice. The residual stream stays in float32 on CPUs. Raises UsageError
    where no kernel can be had in this precision.
    """
    model.eval().requires_grad_(False)
    name = str(dtype).removeprefix("torch.")
    if device.type != "cpu":
        if dtype == torch.int8:
            raise UsageError(*_REFUSAL)
        return model.to(device, dtype)
    chosen = BY_NAME[kernel] if kernel else choose_kernel(model.config, name)
    if chosen is None:
        raise UsageError(*_REFUSAL)
    made = library() if chosen.make is None else None
    if made is not None:
        return NativeGPT.of(made, model, name)
    if chosen.make is None:  # it was there a moment ago
        chosen = next(each for each in kernels_for(name) if each.make is not None)
    with held_isa(chosen):
        _replace_layers(model, chosen, dtype)
    model.kernel, model.packed_dtype = chosen.name, name
    return model


_REFUSAL = (
    "int8 needs a CPU, and a C compiler or PyTorch's quantized products",
    "allowed here: auto, float32, bfloat16",
)


def _replace_layers(model: GPT, kernel: Kernel, dtype: torch.dtype) -> None:
    make = kernel.make
    assert make is not None
    # the head first: it is the largest, and little else is in memory yet
    layers = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Linear)
    ]

    def replace(layer: tuple[nn.Module, str, nn.Linear]) -> None:
        module, name, linear = layer
        setattr(module, name, make(linear, dtype))

    # two at a time: much of it is waiting for the system to hand out memory
    give_back_freed_memory()
    with ThreadPoolExecutor(2) as pool:
        while layers:
            list(pool.map(replace, [layers.pop(0) for _ in range(min(2, len(layers)))]))
    keep_freed_memory()
