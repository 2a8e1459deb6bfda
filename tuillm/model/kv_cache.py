"""The KV cache: keys and values of the positions a model has seen, in memory taken as they come.

`KVCache` is PyTorch's, a tensor a layer that grows by copying; `BlockCache` that of the native
library, which takes blocks of positions wherever they lie. Both know numbers of positions; how
many a conversation may have is the business of who fills them.
"""

import ctypes
import mmap
from contextlib import suppress
from typing import Protocol, Self

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.native.library import LANES, STRETCH
from tuillm.units import size

# positions that more memory is taken for at least, and the part of those there: an eighth more each
# time copies a position about eight times, of the hundreds of times that attention reads it
_FIRST, _MORE = 256, 8
# bytes of a huge page, and the share of memory that may be lost to be in whole ones
_HUGE, _LOST = 1 << 21, 0.125


class Cache(Protocol):
    """What a model writes into and reads from; the first `length` positions are filled."""

    length: int

    @property
    def batch(self) -> int:
        """How many sequences there are."""

    @property
    def item_bytes(self) -> int:
        """Those of a number of a key or value."""

    @property
    def bytes(self) -> int:
        """The memory that was taken."""

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on; their memory stays for others."""

    def expanded(self, batch: int) -> Self:
        """Return a cache of `batch` sequences that all begin with what this one holds.

        All that take memory raise CacheMemoryError where there is none.
        """


class CacheMemoryError(TuillmError, MemoryError):
    """There is no memory for the keys and values of more positions."""


class KVCache:
    """Positions of `batch` sequences, [2, batch, K, room, D] a layer.

    Kept in float32 on CPUs, where one query over a bfloat16 cache is slow in PyTorch.
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        shape = (2, batch, config.kv_heads, 0, config.head_width)
        empty = torch.empty(shape, dtype=dtype, device=device)
        self._layers = [empty] * config.n_layer
        self.config, self._dtype, self._device = config, dtype, device
        self.batch = batch
        self.length = 0

    @property
    def item_bytes(self) -> int:
        """Those of a number of a key or value."""
        return self._dtype.itemsize

    @property
    def bytes(self) -> int:
        """The memory that was taken."""
        return sum(layer.nbytes for layer in self._layers)

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values [B, K, T, D] of a layer; return all [B, K, length + T, D] of it.

        `length` moves on only once all layers have stored theirs, by the model's forward.
        """
        end = self.length + k.shape[2]
        if end > self._layers[layer].shape[3]:
            self._grow(layer, end)
        keys, values = self._layers[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on; their memory stays for others."""
        self.length = min(self.length, length)

    def expanded(self, batch: int) -> "KVCache":
        """Return a cache of `batch` sequences that all begin with what this one holds."""
        wide = KVCache(self.config, batch, self._dtype, self._device)
        for number, layer in enumerate(self._layers):
            wide._grow(number, self.length)
            wide._layers[number][..., : self.length, :] = layer[:, :1, :, : self.length]
        wide.length = self.length
        return wide

    def _grow(self, layer: int, length: int) -> None:
        """Take memory for so many positions of a layer, and some more; what it had is let go."""
        old = self._layers[layer]
        there = old.shape[3]
        room = max(length, there + max(_FIRST, there // _MORE))
        room = min(room, max(length, self.config.block_size))
        new = _empty((*old.shape[:3], room, old.shape[4]), old.dtype, old.device)
        new[..., : self.length, :] = old[..., : self.length, :]
        self._layers[layer] = new


class BlockCache:
    """Positions of `batch` sequences for the native library, in blocks of STRETCH.

    A block is [n_layer, 2, batch, K, STRETCH, D padded to LANES], within a head as `forward.c`
    lays it out. Nothing is copied when it grows. `half` keeps bfloat16 instead of float32.
    """

    def __init__(self, config: GPTConfig, batch: int = 1, *, half: bool = False) -> None:
        self.batch, self.half = batch, half
        self.length = 0
        self.config = config
        self._blocks: list[Tensor] = []
        self._addresses = (ctypes.c_void_p * 0)()

    @property
    def item_bytes(self) -> int:
        """Those of a number of a key or value."""
        return 2 if self.half else 4

    @property
    def bytes(self) -> int:
        """The memory that was taken."""
        return sum(block.nbytes for block in self._blocks)

    def suits(self, config: GPTConfig, batch: int) -> bool:
        """Whether it is one of so many sequences of a model of this shape."""
        return batch == self.batch and (config is self.config or config == self.config)

    def addresses(self, length: int) -> "ctypes.Array[ctypes.c_void_p]":
        """Return where the blocks are, after memory was taken for so many positions."""
        count = -(-length // STRETCH)
        if count > len(self._addresses):  # it may have been stopped with more blocks than these
            config, kind = self.config, torch.bfloat16 if self.half else torch.float32
            width = -(-config.head_width // LANES) * LANES
            shape = (config.n_layer, 2, self.batch, config.kv_heads, STRETCH * width)
            while len(self._blocks) < count:
                self._blocks.append(_empty(shape, kind, torch.device("cpu")))
            addresses = [block.data_ptr() for block in self._blocks]
            self._addresses = (ctypes.c_void_p * len(addresses))(*addresses)
        return self._addresses

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on; their memory stays for others."""
        self.length = min(self.length, length)

    def expanded(self, batch: int) -> "BlockCache":
        """Return a cache of `batch` sequences that all begin with what this one holds."""
        wide = BlockCache(self.config, batch, half=self.half)
        wide.addresses(self.length)
        for new, old in zip(wide._blocks, self._blocks, strict=False):
            new.copy_(old[:, :, :1].expand_as(new))
        wide.length = self.length
        return wide


def huge_memory(length: int) -> Tensor:
    """Return [length] of bytes, in huge pages where the system has them."""
    return _mapped(-(-length // _HUGE) * _HUGE)[:length]


def _mapped(length: int) -> Tensor:
    """Return [length] of bytes that go back to the system as soon as nobody has them."""
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = mmap.mmap(-1, length, flags=private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # systems without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8, count=length)


def _empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory that holds anything; on CPUs of its own, in huge pages where little is lost.

    Raises CacheMemoryError where the system gives none.
    """
    wanted = torch.Size(shape).numel() * dtype.itemsize
    try:
        if device.type != "cpu" or wanted < _HUGE:
            return torch.empty(shape, dtype=dtype, device=device)
        taken = huge_memory(wanted) if -wanted % _HUGE <= _LOST * wanted else _mapped(wanted)
        return taken.view(dtype).view(shape)
    except (RuntimeError, OSError) as error:  # of CUDA, and of CPUs
        raise CacheMemoryError(
            f"there is no memory for {size(wanted)} of keys and values", "--context N takes less"
        ) from error
