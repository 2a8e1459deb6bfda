"""One decoder for all families: pre-norm blocks of attention and MLP over a residual stream.

GPT-2 has learned positions, LayerNorm and a GELU between two layers; Llama and its kin rotary
positions, RMSNorm and a gated MLP: switches of the configuration, none of which asks for a family.
One forward serves training, prefill and decoding; what differs (attention with a cache, packed
weights) is chosen by what is handed in. Parameter names are GPT-2's without the `transformer.`
prefix. `n_layer=0` with an untied head is a bigram model.

Shapes: B batch, T positions, C = n_embd, H = n_head, K = kv_heads, D = head_width, V = vocab_size.
"""

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tuillm.config.gpt_config import GPTConfig
from tuillm.model.attention import Heads, attend, attend_cached, attend_grouped, join_heads
from tuillm.model.chunked_loss import head_loss
from tuillm.model.dropout import drop
from tuillm.model.kv_cache import KVCache
from tuillm.model.linear import Embedding, Linear
from tuillm.model.rms_norm import RMSNorm
from tuillm.model.rotary import CosSin, Rotary, rotate
from tuillm.model.swiglu import swiglu

Norm = nn.LayerNorm | RMSNorm


class GPT(nn.Module):
    """`model(idx [B, T]) -> logits [B, T, V]`; with a `cache`, idx continues what it holds.

    With `recompute` the backward pass finds of each block only what went in, and computes the rest
    again: gradient checkpointing (Chen et al. 2016, arXiv:1604.06174).
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        # which of `kernels` it was packed for, in which precision, and on how many threads it is
        # fastest; "" and None: not known
        self.kernel, self.packed_dtype = "", ""
        self.threads: int | None = None
        # what computes a block in training: this, or its compiled form
        self.compute_block: Callable[[Block, Tensor, CosSin | None], Tensor] = compute_block
        self.wte = Embedding(config.vocab_size, config.n_embd)
        self.rotary = Rotary(config) if config.rotary else None
        self.wpe = None if config.rotary else Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = make_norm(config)
        head = Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie_weights:
            head.weight = self.wte.weight
        self.lm_head: nn.Module = head

    def forward(self, idx: Tensor, cache: KVCache | None = None, last: int = 0) -> Tensor:
        """Return logits [B, T, V] for ids [B, T], or those of the `last` positions alone.

        Raises ValueError when more positions are asked for than block_size.
        """
        x = self._stream(idx, cache)
        if last:
            x = x[:, -last:]
        logits: Tensor = self.lm_head(self.ln_f(x))  # [B, T, V]
        return logits if self.training else logits.float()

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats per token of ids [B, T].

        `targets` [B, N] are what the last N positions are to predict.
        """
        x = self._stream(idx)[:, -targets.shape[1] :]
        return head_loss(self.ln_f(x), self.lm_head, targets)

    def _stream(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return what the blocks make of ids [B, T]: [B, T, C], not normalised yet."""
        start = cache.length if cache is not None else 0
        end = start + idx.shape[1]
        if end > self.config.block_size:
            raise ValueError(f"{end} positions, but block_size is {self.config.block_size}")
        x: Tensor = self.wte(idx)  # [B, T, C]
        if self.wpe is not None:
            x = x + self.wpe.weight[start:end]
        rope = self.rotary.table(start, end, x.device) if self.rotary else None
        if self.training and self.config.dropout:
            x = drop(x, self.config.dropout)
        learning = self.training and torch.is_grad_enabled()
        for layer, block in enumerate(self.h):
            if not learning or cache is not None:
                x = block(x, rope, cache, layer)
            elif self.recompute:
                x = checkpoint(self.compute_block, block, x, rope, use_reentrant=False)
            else:
                x = self.compute_block(cast(Block, block), x, rope)
        if cache is not None:
            cache.length = end
        return x

    def new_cache(self, batch: int = 1) -> KVCache:
        """Return an empty cache for so many sequences."""
        dtype = torch.float32 if self.device.type == "cpu" else self.dtype
        return KVCache(self.config, batch, dtype, self.device)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.wte.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its embedding, and of its weights unless they were packed."""
        return self.wte.weight.dtype

    @property
    def parameter_count(self) -> int:
        """The number of parameters, a tied head counted once, adapters left out."""
        return sum(
            parameter.numel() for name, parameter in self.named_parameters() if ".lora_" not in name
        )

    def init_weights(self, positions: str, generator: torch.Generator) -> None:
        """Draw the first weights: narrow normals, output projections at zero.

        q, k, v and c_fc have standard deviation 0.5/sqrt(C). Zero projections make every block
        begin as the identity. `positions` is random, sinusoid (an initial value that is
        learned further) or none (zero).
        """
        config = self.config
        wide = 0.05 if positions == "sinusoid" else 0.02
        with torch.no_grad():
            self.wte.weight.normal_(0, wide, generator=generator)
            if not config.tie_weights:
                self.lm_head.get_parameter("weight").zero_()
            if self.wpe is not None:
                self._init_positions(self.wpe.weight, positions, generator)
            for name, parameter in self.h.named_parameters():
                if name.endswith(("c_attn.weight", "c_fc.weight")):
                    parameter.normal_(0, 0.5 / math.sqrt(config.n_embd), generator=generator)
                elif name.endswith(("c_proj.weight", "bias")):
                    parameter.zero_()

    def _init_positions(self, table: Tensor, positions: str, generator: torch.Generator) -> None:
        if positions == "random":
            table.normal_(0, 0.01, generator=generator)
        elif positions == "sinusoid":
            table.copy_(0.1 * sinusoids(self.config.block_size, self.config.n_embd))
        else:
            table.zero_()


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each added to the stream x [B, T, C]."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.ln_1 = make_norm(config)
        self.attn = Attention(config)
        self.ln_2 = make_norm(config)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, rope: CosSin | None, cache: KVCache | None, layer: int) -> Tensor:
        x = x + self.attn(self.ln_1(x), rope, cache, layer)
        y: Tensor = x + self.mlp(self.ln_2(x))
        return y


def compute_block(block: Block, x: Tensor, rope: CosSin | None) -> Tensor:
    """What a block makes of x [B, T, C] without a cache: one program for all blocks."""
    y: Tensor = block(x, rope, None, 0)
    return y


class Attention(nn.Module):
    """Causal self-attention of H heads; with a cache, over what it holds as well.

    K heads of keys and values serve H / K heads of queries each. `c_attn` gives all three.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads = Heads(config.n_head, config.kv_heads, config.head_width)
        self.dropout = config.dropout
        width = config.qkv_width
        self.c_attn: nn.Module = Linear(config.n_embd, width, config.bias or config.qkv_bias)
        self.c_proj: nn.Module = Linear(config.q_width, config.n_embd, config.bias)
        self.q_norm = self.k_norm = None
        if config.qk_norm:
            self.q_norm = HeadNorm(config.head_width, config.norm_eps)
            self.k_norm = HeadNorm(config.head_width, config.norm_eps)

    def forward(self, x: Tensor, rope: CosSin | None, cache: KVCache | None, layer: int) -> Tensor:
        qkv = self.c_attn(x)  # [B, T, (H + 2K) D]
        dropout = self.dropout if self.training else 0.0
        if cache is None and rope is None and self.q_norm is None and self.heads.group_size == 1:
            y = attend(qkv, self.heads.count, dropout)
        else:
            q, k, v = self.heads.split(qkv)  # [B, H, T, D] and [B, K, T, D]
            if self.q_norm is not None and self.k_norm is not None:
                q, k = self.q_norm(q), self.k_norm(k)
            if rope is not None:
                q, k = rotate(q, rope), rotate(k, rope)
            if cache is None:
                y = join_heads(attend_grouped(q, k, v, dropout))
            else:
                y = join_heads(attend_cached(q, *cache.append(layer, k, v)))
        y = self.c_proj(y)
        return drop(y, dropout) if dropout else y


class HeadNorm(RMSNorm):
    """RMSNorm of heads that a product in another precision gave, in the precision of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class MLP(nn.Module):
    """C -> I -> C: with a GELU between (tanh-approximated or exact), or gated by a SiLU.

    The gate and the other half of a gated one are one layer, `c_fc`.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.gated = config.gated_mlp
        self.gelu = "none" if config.exact_gelu else "tanh"
        inner = config.inner_width
        out = inner * (1 + config.gated_mlp)
        self.c_fc: nn.Module = Linear(config.n_embd, out, config.bias)
        self.c_proj: nn.Module = Linear(inner, config.n_embd, config.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        if self.gated:
            x = swiglu(x)
        else:
            x = F.gelu(x, approximate=self.gelu)
        x = self.c_proj(x)
        return drop(x, self.dropout) if self.training and self.dropout else x


def make_norm(config: GPTConfig) -> Norm:
    """A new normalisation of the stream: LayerNorm or RMSNorm (arXiv:1910.07467)."""
    if config.rms_norm:
        return RMSNorm(config.n_embd, config.norm_eps)
    return nn.LayerNorm(config.n_embd, config.norm_eps, bias=config.bias)


def sinusoids(length: int, width: int) -> Tensor:
    """Return [length, width]: sines, then cosines, of frequencies from pi/1.5 down to pi/length."""
    half = max(width // 2, 1)
    frequencies = torch.logspace(
        math.log10(math.pi / 1.5), math.log10(math.pi / length), half, dtype=torch.float64
    )
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
    table = torch.zeros(length, width)
    table[:, :half] = angles.sin()[:, :width]
    table[:, half : 2 * half] = angles.cos()[:, : width - half]
    return table
