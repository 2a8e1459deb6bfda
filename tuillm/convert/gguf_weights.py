"""The tensors of a GGUF file under Hugging Face's names, each made when it is written.

llama.cpp's names and the order of its rows `gguf_names` knows, and what a kind of tensor's blocks
mean, the `gguf` library. Never more than one tensor, and a few rows before they are dequantised, is
in memory.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuillm.config.families import family_of, weights_misfit
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_names import (
    EMBEDDING,
    HEAD,
    PADDED_TO,
    POSITIONS,
    ROPE_FREQS,
    hf_name,
    rows_of_halves,
)
from tuillm.convert.gguf_reading import GGUFFile, GGUFTensor
from tuillm.errors import TuillmError
from tuillm.model.mmap_safetensors import map_array
from tuillm.model.save_safetensors import LazyTensor

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_NUMBERS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Source:
    """A tensor in the file; of its `rows`, counted over all but the last dimension, some alone."""

    path: Path
    stored: GGUFTensor
    rows: int

    def read(self, start: int, end: int, order: NDArray[np.int64] | None = None) -> Tensor:
        """Return rows as their kind has them, or in float32 where they are quantised.

        With an `order`, which tells for each row which it is in the file, all are mapped.
        """
        first, last = (start, end) if order is None else (0, self.rows)
        width = self.stored.row_bytes
        begin = self.stored.start + first * width
        raw = map_array(self.path, np.uint8, begin, (last - first) * width).reshape(-1, width)
        return _values(raw if order is None else raw[order[start:end]], self.stored.kind)


def hf_tensors(file: GGUFFile, config: GPTConfig, dtype: torch.dtype) -> dict[str, LazyTensor]:
    """Return all tensors of a model of this shape by Hugging Face's names.

    Raises TuillmError where one is missing, of another shape, or does not belong to the model.
    """
    family = family_of(config)
    turned = {each.parts[0][0] for each in family.tensors(config) if each.turned}
    out: dict[str, LazyTensor] = {}
    for name, stored in file.tensors.items():
        if name == ROPE_FREQS or (name == HEAD and config.tie_weights):
            continue
        label = hf_name(name, config.family)
        rows = config.block_size if name == POSITIONS else int(np.prod(stored.shape[:-1]))
        turn = rows_of_halves(name, config) if len(stored.shape) == 2 else None
        order = None if turn is None else turn.numpy()
        if order is not None and len(order) != rows:
            raise TuillmError(f"{file.path} is damaged: {label} is {list(stored.shape)}")
        shape = (rows, stored.shape[-1]) if len(stored.shape) == 2 else stored.shape
        make = partial(_make, _Source(file.path, stored, rows), shape, dtype, order)
        if label in turned and len(shape) == 2:
            make, shape = partial(_turned, make), shape[::-1]
        label = label if name == HEAD else family.PREFIX + label
        out[label] = LazyTensor(shape, dtype, make)
    sizes = {name: each.shape for name, each in out.items()}
    if reason := weights_misfit(sizes, config, strict=True):
        raise TuillmError(f"{file.path} is damaged, or no {config.family}: {reason}")
    return out


def kinds_of(file: GGUFFile) -> list[str]:
    """Return the kinds of a file's tensors by name: F32 only where there is no shorter one.

    llama.cpp keeps norms, biases and learned positions in F32, whatever the others are.
    """
    kinds = {each.kind for each in file.tensors.values()}
    return sorted(kinds - {"F32"}) or ["F32"]


def written_dtype(file: GGUFFile) -> torch.dtype:
    """Return the narrowest type that holds every tensor exactly: that of most, or float32."""
    kinds = kinds_of(file)
    dtype = PLAIN.get(kinds[0], torch.float32) if len(kinds) == 1 else torch.float32
    for name, each in file.tensors.items() if dtype != torch.float32 else ():
        if each.kind == "F32" and name != ROPE_FREQS:
            values = vector(file, name)
            if not torch.equal(values.to(dtype).float(), values):
                return torch.float32
    return dtype


def vector(file: GGUFFile, name: str) -> Tensor:
    """Return the values of a tensor in float32, flat."""
    stored = file.tensors[name]
    rows = int(np.prod(stored.shape[:-1]))
    return _Source(file.path, stored, rows).read(0, rows).float().reshape(-1)


def is_tied(file: GGUFFile) -> bool:
    """Whether the head is the embedding: there is none, or it is the same bytes once more."""
    head, embedding = file.tensors.get(HEAD), file.tensors.get(EMBEDDING)
    if head is None or embedding is None:
        return head is None
    if (head.kind, head.shape) != (embedding.kind, embedding.shape):
        return False
    return all(
        np.array_equal(
            map_array(file.path, np.uint8, head.start + start, count),
            map_array(file.path, np.uint8, embedding.start + start, count),
        )
        for start in range(0, head.size, 1 << 24)
        for count in (min(1 << 24, head.size - start),)
    )


def learned_positions(file: GGUFFile, told: int) -> int:
    """Return how many positions of a GPT-2 are its own, of the `told` ones.

    Those that pad them to a multiple of 256 are the last one once more.
    """
    stored = file.tensors.get(POSITIONS)
    if stored is None or len(stored.shape) != 2 or stored.shape[0] != told or told % PADDED_TO:
        return told
    first = max(0, told - PADDED_TO - 1)
    width, count = stored.row_bytes, told - first
    rows = map_array(file.path, np.uint8, stored.start + first * width, count * width)
    other = (rows.reshape(count, width) != rows[-width:]).any(1).nonzero()[0]
    return first + int(other[-1]) + 2 if len(other) else told


def _make(
    source: _Source, shape: tuple[int, ...], dtype: torch.dtype, order: NDArray[np.int64] | None
) -> Tensor:
    """Return a tensor's values, some rows after the others."""
    out = torch.empty(source.rows, shape[-1], dtype=dtype)
    step = max(1, _NUMBERS_AT_ONCE // shape[-1])
    for start in range(0, source.rows, step):
        end = min(start + step, source.rows)
        out[start:end] = source.read(start, end, order)
    return out.view(shape)


def _turned(make: partial[Tensor]) -> Tensor:
    return make().t()


def _values(raw: NDArray[np.generic], kind: str) -> Tensor:
    """Return rows of bytes [rows, bytes] as numbers."""
    if kind in PLAIN:
        return torch.from_numpy(np.ascontiguousarray(raw)).view(PLAIN[kind])
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    with np.errstate(all="ignore"):  # scales that are not finite are refused when it is published
        return torch.from_numpy(dequantize(raw, GGMLQuantizationType[kind]))
