"""How a model's weights lie in one block of memory for the native forward pass.

The same bytes whether they were just packed or are mapped from a file. Knows neither the library
that reads them nor where the memory comes from.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig
from tuillm.native.library import GROUP, LANES

# of files that are kept: another order of the parts is another version
LAYOUT_VERSION = 2
_ALIGNED = 4096  # bytes between the beginnings of parts
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.uint8}
_UNITS = {torch.float32: torch.float32, torch.bfloat16: torch.int32, torch.uint8: torch.int32}
_AT_ONCE = 200_000  # weights, less than a megabyte of them
_TOGETHER = {"float32": 1, "bfloat16": 2, "int8": 4}  # columns of a row side by side


@dataclass(frozen=True)
class Part:
    """A tensor within the memory, by the name of the parameter it was made of."""

    name: str
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class Layout:
    """Where each part lies for a model of this shape in this precision: `size` bytes in all."""

    def __init__(self, config: GPTConfig, dtype: str) -> None:
        self.config, self.dtype = config, dtype
        self.parts: dict[str, Part] = {}
        self.size = 0
        C, bias = config.n_embd, config.bias
        tables = [("wte", config.vocab_size, C)]
        if not config.tie_weights:
            tables.append(("lm_head", config.vocab_size, C))
        for name, rows, columns in tables:
            self._add_matrix(name, rows, columns)
        if not config.rotary:
            self._add("wpe", (config.block_size, C))
        inner = config.inner_width
        for layer in range(config.n_layer):
            for name, rows, columns, biased in (
                ("attn.c_attn", config.qkv_width, C, bias or config.qkv_bias),
                ("attn.c_proj", C, config.q_width, bias),
                ("mlp.c_fc", inner * (1 + config.gated_mlp), C, bias),
                ("mlp.c_proj", C, inner, bias),
            ):
                self._add_matrix(f"h.{layer}.{name}", rows, columns)
                if biased:
                    self._add(f"h.{layer}.{name}.bias", (rounded(rows, LANES),))
            for name in ("q_norm", "k_norm") if config.qk_norm else ():
                self._add(f"h.{layer}.attn.{name}", (config.head_width,))
            self._add_norm(f"h.{layer}.ln_1")
            self._add_norm(f"h.{layer}.ln_2")
        self._add_norm("ln_f")

    def tensors(self, memory: Tensor) -> dict[str, Tensor]:
        """Return the parts of a block of memory [size] of bytes, as views of it."""
        return {name: _view(memory, part) for name, part in self.parts.items()}

    def fill(self, memory: Tensor, weights: Mapping[str, Tensor]) -> None:
        """Pack weights by their names in `GPT`, of any float type, into `memory` [size] of bytes.

        Each matrix on one thread, several of them at a time: their blocks are too small to be
        divided. A weight is asked for when it is its turn, the largest first, while little is in
        memory yet; so that of weights made when they are asked for few are there at once.
        """
        to, most = self.tensors(memory), torch.get_num_threads()

        def fill_one(part: Part) -> None:
            name = part.name
            key = name if name.endswith(".bias") else f"{name}.weight"
            if len(part.shape) <= 2:  # a vector, or the table of positions
                given = weights[key].detach()
                to[name].zero_()[: len(given)] = given
            else:
                self._pack(_pieces(weights, key), to[name], to.get(f"{name}.scales"))

        def fill_quietly(part: Part) -> None:
            with torch.inference_mode():  # which holds for one thread
                fill_one(part)

        parts = [part for part in self.parts.values() if not part.name.endswith(".scales")]
        parts.sort(key=lambda part: -prod(part.shape))
        try:
            with ThreadPoolExecutor(most, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                list(pool.map(fill_quietly, parts))
        finally:
            torch.set_num_threads(most)

    def _add(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> None:
        self.parts[name] = Part(name, self.size, shape, dtype)
        self.size += rounded(prod(shape) * dtype.itemsize, _ALIGNED)

    def _add_matrix(self, name: str, rows: int, columns: int) -> None:
        together = _TOGETHER[self.dtype]
        blocks = rounded(rows, LANES) // LANES
        shape = (blocks, rounded(columns, GROUP) // together, LANES, together)
        self._add(name, shape, _DTYPES[self.dtype])
        if self.dtype == "int8":
            self._add(f"{name}.scales", (blocks * LANES,))

    def _add_norm(self, name: str) -> None:
        self._add(name, (self.config.n_embd,))
        if self.config.bias and not self.config.rms_norm:
            self._add(f"{name}.bias", (self.config.n_embd,))

    def _pack(self, pieces: Iterator[Tensor], to: Tensor, scales: Tensor | None) -> None:
        """Lay rows [out, in] out in blocks; int8 with a scale for each row."""
        padded = to.shape[1] * to.shape[3]
        at_once = max(1, _AT_ONCE // (padded * LANES)) * LANES  # rows: what is in between is small
        work = torch.empty(at_once, padded)
        start = 0
        for given in _regrouped(pieces, work):
            part = work[: rounded(len(given), LANES)]  # behind those given are zeros
            blocks = to[start // LANES : (start + len(part)) // LANES]
            if scales is not None:
                scale = (torch.maximum(given.amax(1), -given.amin(1)) / 127).clamp_(min=1e-12)
                scales[start : start + len(part)] = 0
                scales[start : start + len(given)] = scale
                given.div_(scale[:, None]).round_()
                part.add_(128)
            start += len(part)
            # columns side by side move as one
            units = part.to(to.dtype).view(_UNITS[to.dtype]).view(len(blocks), LANES, -1)
            blocks.view(units.dtype).view(len(blocks), -1, LANES).copy_(units.transpose(1, 2))


def _pieces(weights: Mapping[str, Tensor], key: str) -> Iterator[Tensor]:
    """The rows of a matrix in order, not all of them in memory at a time if that can be had."""
    pieces = getattr(weights, "pieces", None)
    return iter([weights[key]]) if pieces is None else pieces(key)


def _regrouped(pieces: Iterator[Tensor], work: Tensor) -> Iterator[Tensor]:
    """Yield the rows of pieces [n, in], in `work` and as many as it has; the rest of it is zero."""
    count = 0
    for piece in pieces:
        left = piece.detach()
        while len(left):
            if count == 0:
                work.zero_()
            taken = left[: len(work) - count]
            work[count : count + len(taken), : left.shape[1]] = taken
            count, left = count + len(taken), left[len(taken) :]
            if count == len(work):
                yield work[:, : piece.shape[1]]
                count = 0
    if count:
        yield work[:count, : piece.shape[1]]


def rounded(value: int, multiple: int) -> int:
    """The next multiple that is not less."""
    return -(-value // multiple) * multiple


def _view(memory: Tensor, part: Part) -> Tensor:
    size = prod(part.shape) * part.dtype.itemsize
    return memory[part.offset : part.offset + size].view(part.dtype).view(part.shape)
