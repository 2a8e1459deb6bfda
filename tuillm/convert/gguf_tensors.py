"""The tensors of a model folder as a GGUF file has them: names, kinds, order of rows, and bytes.

The other direction is `gguf_weights`. Each is made when it is written, some rows after the others,
from the weights as they are stored, so that a model is never in memory as a whole.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuillm.config.families import Named, family_of
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_names import (
    EMBEDDING,
    HEAD,
    PADDED_TO,
    POSITIONS,
    ROPE_FREQS,
    gguf_name,
    rows_of_neighbours,
)
from tuillm.convert.gguf_rope import rope_factors
from tuillm.errors import TuillmError, UsageError
from tuillm.model.family_weights import FamilyWeights

DTYPES = ("f32", "f16", "bf16", "q8_0")
# numbers that share a scale in llama.cpp's int8, and the bytes they take together
_BLOCK, _BLOCK_BYTES = 32, 34
_NUMBERS_AT_ONCE = 1 << 20
# architectures for which llama.cpp reads factors of the rotary positions, and those whose heads it
# takes to be as wide together as the model
_SCALED, _AS_WIDE = ("llama",), ("qwen2",)


@dataclass(frozen=True)
class WrittenTensor:
    """One tensor of a file to be: its name, shape and kind there, and how its values are made.

    `rows` tells for each row which one it is of what is made; None is all of them in their order.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    make: Callable[[], Tensor]
    rows: Tensor | None = None

    @property
    def size(self) -> int:
        """The bytes it takes."""
        return bytes_of(math.prod(self.shape), self.kind)

    def parts(self) -> Iterator[NDArray[np.generic]]:
        """Yield its bytes, some rows after the others; raises TuillmError for what does not fit."""
        made = self.make().detach().reshape(-1, self.shape[-1])
        count = len(made) if self.rows is None else len(self.rows)
        step = max(1, _NUMBERS_AT_ONCE // self.shape[-1])
        for start in range(0, count, step):
            chosen = slice(start, start + step)
            values = made[chosen] if self.rows is None else made[self.rows[chosen]]
            yield _stored(values, self.kind, self.name)


def gguf_tensors(
    weights: FamilyWeights, dtype: str, more: Sequence[int] = ()
) -> list[WrittenTensor]:
    """Return all tensors of a model in a file whose matrices are of `dtype`.

    What has one dimension, and learned positions, stay in float32, as llama.cpp adds them up in
    it. The rows `more` of the vocabulary come once again at its end. Raises UsageError for another
    dtype, TuillmError for a model that llama.cpp does not compute.
    """
    config = weights.config
    _refuse_uncomputable(config, dtype)
    found = [
        _tensor(weights, named, part, rows, dtype, more)
        for named in family_of(config).tensors(config)
        for part, rows in named.parts
    ]
    if config.rope_original:
        factors = rope_factors(config)
        found.append(WrittenTensor(ROPE_FREQS, (len(factors),), "F32", lambda: factors))
    return found


def bytes_of(numbers: int, kind: str) -> int:
    """Return the bytes that so many numbers take in a file as F32, F16, BF16 or Q8_0."""
    if kind == "Q8_0":
        return numbers // _BLOCK * _BLOCK_BYTES
    return numbers * (4 if kind == "F32" else 2)


def padded(block_size: int) -> int:
    """Return how many learned positions a file holds for a context of `block_size`."""
    return math.ceil(block_size / PADDED_TO) * PADDED_TO


def _refuse_uncomputable(config: GPTConfig, dtype: str) -> None:
    if dtype not in DTYPES:
        raise UsageError(f"dtype cannot be {dtype!r}", "allowed: " + ", ".join(DTYPES))
    if not config.n_layer:
        raise TuillmError(
            "llama.cpp computes no model without layers, as bigram models are",
            "export it with --to hf",
        )
    if config.family in _AS_WIDE and config.q_width != config.n_embd:
        raise TuillmError(
            f"llama.cpp computes no {config.family} of width {config.n_embd} whose heads are "
            f"{config.q_width} wide together",
            "export it with --to hf",
        )
    if config.rope_original and config.family not in _SCALED:
        raise TuillmError(
            f"llama.cpp scales no rotary positions of a {config.family} as Llama 3 does",
            "export it with --to hf",
        )


def _tensor(
    weights: FamilyWeights, named: Named, part: str, rows: int, dtype: str, more: Sequence[int]
) -> WrittenTensor:
    """Return one tensor of the family's; linear weights are [out, in] here, whatever they are."""
    config = weights.config
    name = gguf_name(part, config.family)
    shape = (rows, *named.shape[1:])
    chosen = rows_of_neighbours(name, config)
    if name == POSITIONS:
        chosen = torch.arange(padded(rows)).clamp(max=rows - 1)
    elif more and name in (EMBEDDING, HEAD):
        chosen = torch.tensor([*range(rows), *more])

    def make() -> Tensor:
        value = weights.part(part)
        if value is None:  # biases of which there are none
            return torch.zeros(shape)
        return value.t() if named.turned else value

    if chosen is not None:
        shape = (len(chosen), *shape[1:])
    return WrittenTensor(name, shape, _kind(name, shape, dtype), make, chosen)


def _kind(name: str, shape: tuple[int, ...], dtype: str) -> str:
    """Return the kind of a tensor: rows that are no whole blocks stay in 16 bits.

    So llama.cpp's convert_hf_to_gguf.py has it.
    """
    if len(shape) == 1 or name == POSITIONS:
        return "F32"
    return "F16" if dtype == "q8_0" and shape[-1] % _BLOCK else dtype.upper()


def _stored(values: Tensor, kind: str, name: str) -> NDArray[np.generic]:
    """Return rows as the numpy array whose bytes go into the file."""
    if kind == "BF16":  # numpy knows no bfloat16
        return values.bfloat16().contiguous().view(torch.int16).numpy()
    exact = values.float().contiguous()
    if kind == "F32":
        return exact.numpy()
    short = exact.half()
    if not short.isfinite().all() and exact.isfinite().all():
        raise TuillmError(
            f"{name} has values that 16 bits of f16 cannot hold", "allowed here: f32, bf16"
        )
    if kind == "F16":
        return short.numpy()
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    blocks: NDArray[np.generic] = quantize(exact.numpy(), GGMLQuantizationType.Q8_0)
    return blocks
