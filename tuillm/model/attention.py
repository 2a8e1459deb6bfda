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

# windows from here on are cut into blocks of half as many queries
_LONG = 512


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
    """softmax(q k^T / sqrt(D) + causal mask) v on [N, T, D], both passes as batched products.

    Long windows are cut into blocks of queries, each of which looks at no later key: that leaves
    out three eighths of the work for 1,024 positions.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        scale = 1 / math.sqrt(q.shape[-1])
        T = q.shape[1]
        mask, parts, saved = _causal_mask(T, q.dtype), [], []
        for start, end in _query_blocks(T):
            scores = torch.baddbmm(mask[:, start:end, :end], q[:, start:end],
                                   k[:, :end].transpose(1, 2), alpha=scale)
            weights = torch.softmax(scores, -1)
            kept = keep_weights(weights, dropout) if dropout else None
            parts.append(torch.bmm(weights if kept is None else weights * kept, v[:, :end]))
            saved += [weights, kept]
        ctx.save_for_backward(q, k, v, *saved)
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *saved = ctx.saved_tensors
        (grad,), T = grads, q.shape[1]
        grad_q, found = [], []
        for place, (start, end) in enumerate(_query_blocks(T)):
            weights, kept = saved[2 * place : 2 * place + 2]
            *rest, each = _block_gradients(
                q[:, start:end], k[:, :end], v[:, :end], grad[:, start:end], weights, kept)
            grad_q.append(each)
            found.append(rest)
        if len(found) == 1:
            return grad_q[0], found[0][0], found[0][1], None
        # the last block has looked at all keys, each one before it at fewer
        wide = torch.promote_types(q.dtype, torch.float32)
        grad_k, grad_v = (part.to(wide) for part in found.pop())
        for of_k, of_v in found:
            grad_k[:, : of_k.shape[1]] += of_k
            grad_v[:, : of_v.shape[1]] += of_v
        return torch.cat(grad_q, 1), grad_k.to(q.dtype), grad_v.to(q.dtype), None


def _block_gradients(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, weights: Tensor, kept: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of k, v and q for some queries and all the keys they look at."""
    scale = 1 / math.sqrt(q.shape[-1])
    used = weights if kept is None else weights * kept
    # turned, since products whose left side is turned cost a copy of it, here of the large one
    grad_v = torch.bmm(grad.transpose(1, 2), used).transpose(1, 2)
    grad_weights = torch.bmm(grad, v.transpose(1, 2))
    if kept is not None:
        grad_weights *= kept
    grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
    grad_k = torch.bmm(q.transpose(1, 2), grad_scores).transpose(1, 2)
    return grad_k.mul_(scale), grad_v, torch.bmm(grad_scores, k).mul_(scale)


def _query_blocks(T: int) -> list[tuple[int, int]]:
    if T < _LONG:
        return [(0, T)]
    return [(start, min(start + _LONG // 2, T)) for start in range(0, T, _LONG // 2)]


@cache
def _causal_mask(T: int, dtype: torch.dtype) -> Tensor:
    """[1, T, T]: 0 where a position may look, -inf where it may not."""
    return torch.full((1, T, T), -math.inf).triu(1).to(dtype)
