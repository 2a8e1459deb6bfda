"""The KV cache: keys and values of the positions a model has seen, in memory laid out once."""

import torch
from torch import Tensor


class KVCache:
    """Room for `block_size` positions of `batch` sequences; the first `length` are filled.

    Kept in float32 on CPUs, where one query over a bfloat16 cache is slow.
    """

    def __init__(
        self,
        *,
        n_layer: int,
        kv_heads: int,
        head_dim: int,
        block_size: int,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        shape = (n_layer, 2, batch, kv_heads, block_size, head_dim)
        self.store = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values [B, K, T, D] of a layer; return all [B, K, length + T, D] of it.

        `length` moves on only once all layers have stored theirs, by the model's forward.
        """
        end = self.length + k.shape[2]
        keys, values = self.store[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def truncate(self, length: int) -> None:
        """Forget all positions from `length` on."""
        self.length = min(self.length, length)

    def expanded(self, batch: int) -> "KVCache":
        """Return a cache of `batch` sequences that all begin with what this one holds."""
        n_layer, _, _, kv_heads, block_size, head_dim = self.store.shape
        wide = KVCache(
            n_layer=n_layer,
            kv_heads=kv_heads,
            head_dim=head_dim,
            block_size=block_size,
            batch=batch,
            dtype=self.store.dtype,
            device=self.store.device,
        )
        wide.store[..., : self.length, :] = self.store[:, :, :1, :, : self.length]
        wide.length = self.length
        return wide
