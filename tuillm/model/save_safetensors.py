"""Tensors written as a safetensors file, one after the other: no second copy of a model in memory.

The library of that name copies all of them first. The layout is its own: a header of JSON, padded
to eight bytes, then the values, the widest types first and then by name
(https://github.com/huggingface/safetensors#format). Knows files; knows nothing of what the tensors
are.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

# in the order in which the library puts them
_TYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is made when it is written: its shape, its type, and how."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def save_tensors(
    tensors: Mapping[str, Tensor | LazyTensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file; raises OSError as the disk does.

    Tensors may lie on any device and in any order of strides. Each is brought into the processor's
    memory by itself.
    """
    types = list(_TYPES)
    order = sorted(tensors, key=lambda name: (types.index(tensors[name].dtype), name))
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    begin = 0
    for name in order:
        tensor = tensors[name]
        end = begin + _size(tensor)
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % _ALIGNMENT)
    try:
        with path.open("wb", buffering=0) as file:
            _write(file.write, len(head).to_bytes(8, "little") + head)
            for name in order:
                _write(file.write, _bytes(tensors[name]))
    except OSError as error:  # a write does not say where
        raise OSError(error.errno, error.strerror, str(path)) from None


def _size(tensor: Tensor | LazyTensor) -> int:
    return torch.Size(tensor.shape).numel() * tensor.dtype.itemsize


def _bytes(tensor: Tensor | LazyTensor) -> memoryview:
    """The values of a tensor, as they lie in memory where they may."""
    made = tensor.make() if isinstance(tensor, LazyTensor) else tensor
    flat = made.detach().to(tensor.dtype).cpu().contiguous().reshape(-1)
    if made.shape != torch.Size(tensor.shape):
        raise ValueError(f"a tensor of {list(made.shape)} was to be {list(tensor.shape)}")
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _write(write: Callable[[memoryview], int | None], content: bytes | memoryview) -> None:
    """Write all of it: a disk may take less than was given."""
    rest = memoryview(content)
    while rest:
        rest = rest[write(rest) or 0 :]
