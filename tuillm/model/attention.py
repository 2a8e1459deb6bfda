"""Causal attention: fused where that is fast, as matrix products where that is.

Measured on CPUs with bfloat16 units: the backward pass of PyTorch's fused attention takes half
a training step there, the same written as batched products makes bfloat16 pay (2.7x).

Shapes: q, k, v [B, H, T, D]; S is the number of positions that a cache holds.
"""

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tuillm.model.dropout import keep_weights


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention of T positions over themselves, each seeing itself and those before it."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:
        B, H, T, D = q.shape
        flat = (tensor.reshape(B * H, T, D) for tensor in (q, k, v))
        return _ProductAttention.apply(*flat, dropout).view(B, H, T, D)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)


def attend_cached(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of T new positions over all S cached ones (k, v [B, H, S, D]), the last T new."""
    T, S = q.shape[2], k.shape[2]
    if T == S:
        out = F.scaled_dot_product_attention(q.to(k.dtype), k, v, is_causal=True)
    elif T > 1:
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        out = F.scaled_dot_product_attention(q.to(k.dtype), k, v, attn_mask=mask)
    else:
        out = F.scaled_dot_product_attention(q.to(k.dtype), k, v)
    return out.to(q.dtype)


class _ProductAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(D) + causal mask) v on [N, T, D], both passes as batched products."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        scale = 1 / math.sqrt(q.shape[-1])
        mask = _causal_mask(q.shape[1], q.dtype)
        weights = torch.softmax(torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale), -1)
        kept = keep_weights(weights, dropout) if dropout else None
        ctx.save_for_backward(q, k, v, weights, kept)
        return torch.bmm(weights if kept is None else weights * kept, v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, weights, kept = ctx.saved_tensors
        (grad,) = grads
        scale = 1 / math.sqrt(q.shape[-1])
        used = weights if kept is None else weights * kept
        grad_v = torch.bmm(used.transpose(1, 2), grad)
        grad_weights = torch.bmm(grad, v.transpose(1, 2))
        if kept is not None:
            grad_weights *= kept
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_scores *= scale
        grad_q = torch.bmm(grad_scores, k)
        return grad_q, torch.bmm(grad_scores.transpose(1, 2), q), grad_v, None


@cache
def _causal_mask(T: int, dtype: torch.dtype) -> Tensor:
    """[1, T, T]: 0 where a position may look, -inf where it may not."""
    return torch.full((1, T, T), -math.inf).triu(1).to(dtype)
