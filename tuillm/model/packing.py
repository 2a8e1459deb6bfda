"""A model made ready to decode: its weights laid out for one of the kernels, or moved to a GPU.

Knows how a model is packed; which kernel is fastest is the business of `kernel_choice`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import UsageError
from tuillm.model.family_weights import FamilyWeights
from tuillm.model.gpt import GPT
from tuillm.model.kernel_choice import choose_kernel
from tuillm.model.kernels import BY_NAME, Kernel, held_isa, kernels_for
from tuillm.model.linear import StoredEmbedding
from tuillm.model.linear_kernels import LogitsLinear
from tuillm.model.malloc import give_back_freed_memory, keep_freed_memory
from tuillm.model.native_gpt import NativeGPT
from tuillm.native.compiled import library
from tuillm.native.library import Library

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
    if device.type != "cpu":
        if dtype == torch.int8:
            raise UsageError(*_REFUSAL)
        return model.to(device, dtype)
    chosen, made = _choose(model.config, dtype, kernel)
    if made is not None:
        return NativeGPT.of(made, model.config, model.state_dict(), _name(dtype))
    return _pack_layers(model, chosen, dtype, None)


def pack_weights(weights: FamilyWeights, dtype: torch.dtype, kernel: str | None = None) -> Decoder:
    """Make a model of weights that are asked for one by one, ready to decode on a CPU; see `pack`.

    No more of them is in memory at a time than what is being packed.
    """
    chosen, made = _choose(weights.config, dtype, kernel)
    if made is not None:
        return NativeGPT.of(made, weights.config, weights, _name(dtype))
    model = GPT(weights.config).eval().requires_grad_(False)  # undefined: it takes no memory
    return _pack_layers(model, chosen, dtype, weights)


_REFUSAL = (
    "int8 needs a CPU, and a C compiler or PyTorch's quantized products",
    "allowed here: auto, float32, bfloat16",
)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _choose(
    config: GPTConfig, dtype: torch.dtype, kernel: str | None
) -> tuple[Kernel, Library | None]:
    """The kernel for a model, and the native library if that is it."""
    chosen = BY_NAME[kernel] if kernel else choose_kernel(config, _name(dtype))
    if chosen is None:
        raise UsageError(*_REFUSAL)
    made = library() if chosen.make is None else None
    if chosen.make is None and made is None:  # it was there a moment ago
        chosen = next(each for each in kernels_for(_name(dtype)) if each.make is not None)
    return chosen, made


def _pack_layers(
    model: GPT, kernel: Kernel, dtype: torch.dtype, weights: Mapping[str, Tensor] | None
) -> GPT:
    """Pack a model's layers with their own weights, or with those given, by name."""
    with held_isa(kernel):
        _replace_layers(model, kernel, dtype, weights)
    for path, module in model.named_modules():
        for name, own in module.named_parameters(recurse=False):
            value = own if weights is None else weights[f"{path}.{name}"]
            value = value if module is model.wte else value.float()
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    table = model.wte.weight
    if table.dtype != torch.float32:
        model.wte = StoredEmbedding.from_pretrained(table)
    model.kernel, model.packed_dtype = kernel.name, _name(dtype)
    return model


def _replace_layers(
    model: GPT, kernel: Kernel, dtype: torch.dtype, weights: Mapping[str, Tensor] | None
) -> None:
    make, tied = kernel.make, model.config.tie_weights
    assert make is not None
    # the head first: it is the largest, and little else is in memory yet
    layers = [
        (module, name, child, f"{path}.{name}".lstrip("."))
        for path, module in model.named_modules()
        for name, child in module.named_children()
        if isinstance(child, nn.Linear)
    ]

    def replace(layer: tuple[nn.Module, str, nn.Linear, str]) -> None:
        module, name, linear, path = layer
        if weights is not None:
            source = "wte" if tied and path == "lm_head" else path
            for kind, _ in list(linear.named_parameters()):
                value = weights[f"{source}.{kind}"]
                setattr(linear, kind, nn.Parameter(value, requires_grad=False))
        exact = path == "lm_head" and dtype == torch.bfloat16
        setattr(module, name, LogitsLinear(linear, dtype) if exact else make(linear, dtype))

    # two at a time: much of it is waiting for the system to hand out memory
    give_back_freed_memory()
    with ThreadPoolExecutor(2) as pool:
        while layers:
            list(pool.map(replace, [layers.pop(0) for _ in range(min(2, len(layers)))]))
    keep_freed_memory()
