"""Training as a small script in plain PyTorch does it, such as nanoGPT's: to compare with.

A GPT of torch's own layers, random windows of a token file, AdamW, clipped gradients; nothing is
compiled. Knows neither our model nor our trainer.
"""

from contextlib import nullcontext
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tuillm.config.gpt_config import GPTConfig


class EagerLoop:
    """Takes training steps on windows drawn from `tokens`, in float32 or under autocast."""

    def __init__(
        self, config: GPTConfig, tokens: NDArray[np.integer], batch_size: int, dtype: torch.dtype
    ) -> None:
        self._model = _Decoder(config)
        self._tokens, self._batch_size, self._window = tokens, batch_size, config.block_size
        self._dtype = dtype
        matrices = [each for each in self._model.parameters() if each.dim() == 2]
        vectors = [each for each in self._model.parameters() if each.dim() < 2]
        groups = [
            {"params": matrices, "weight_decay": 0.1},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))

    def step(self) -> float:
        """Take one step; return its loss in nats per token."""
        idx, targets = self._batch()
        reduced = self._dtype != torch.float32
        with torch.autocast("cpu", self._dtype) if reduced else nullcontext():
            logits = self._model(idx)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return ids and what is to follow them, [B, T] each."""
        starts = torch.randint(len(self._tokens) - self._window, (self._batch_size,)).tolist()
        rows = [
            torch.from_numpy(self._tokens[start : start + self._window + 1].astype(np.int64))
            for start in starts
        ]
        windows = torch.stack(rows)  # [B, T + 1]
        return windows[:, :-1], windows[:, 1:]


class _Decoder(nn.Module):
    """Embeddings, blocks, a norm, and a head tied to the embedding."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.n_embd
        self.wte = nn.Embedding(config.vocab_size, width)
        self.wpe = nn.Embedding(config.block_size, width)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_Layer(config) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(width, bias=config.bias)
        self.head = nn.Linear(width, config.vocab_size, bias=False)
        self.apply(_init)
        self.head.weight = self.wte.weight

    def forward(self, idx: Tensor) -> Tensor:
        positions = torch.arange(idx.shape[1])
        x = self.drop(self.wte(idx) + self.wpe(positions))  # [B, T, C]
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.head(self.norm(x)))  # [B, T, V]


class _Layer(nn.Module):
    """Attention and MLP, each behind a norm and added to the stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width, bias = config.n_embd, config.bias
        self.heads, self.dropout = config.n_head, config.dropout
        self.norm_1 = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.norm_2 = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        parts = self.qkv(self.norm_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, is_causal=True)
        x = x + self.drop(self.out(seen.transpose(1, 2).reshape(B, T, C)))
        y: Tensor = x + self.drop(self.down(F.gelu(self.up(self.norm_2(x)))))
        return y


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, 0.0, 0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
