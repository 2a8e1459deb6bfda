"""Causal attention: fused where that is fast, as matrix products where that is.

Measured on CPUs with bfloat16 units: the backward pass of PyTorch's fused attention takes half
a training step there, the same written as batched products makes bfloat16 pay (2.7x).

Shapes: qkv [B, T, 3C] as the projection gives it, [B, T, (H + 2K) D] where K heads of keys and
values serve H of queries; q [B, H, T, D] and k, v [B, K, T, D] cut from it; S is the number of
positions that a cache holds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tuillm.model.dropout import keep_weights

# windows from here on are cut into blocks of half as many queries
_LONG = 512


def attend(qkv: Tensor, n_head: int, dropout: float = 0.0) -> Tensor:
    """Attention of T positions over themselves, each seeing itself and the past: [B, T, C]."""
    if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16 and qkv.requires_grad:
        y: Tensor = _ProductAttention.apply(qkv, n_head, dropout)
        return y
    q, k, v = split_heads(qkv, n_head)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    return join_heads(y)


def attend_grouped(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention of T positions over themselves, k and v [B, K, T, D] for groups of heads."""
    k, v = repeat_heads(k, q.shape[1]), repeat_heads(v, q.shape[1])
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:
        y: Tensor = _HeadAttention.apply(q, k, v, dropout)
        return y
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)


def attend_cached(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of T new positions over all S cached ones (k, v [B, K, S, D]), the last T new."""
    T, S, kind = q.shape[2], k.shape[2], q.dtype
    grouped, q = q.shape[1] != k.shape[1], q.to(k.dtype)
    if grouped and T == 1:  # the heads of a group are as many queries of one head, with no mask
        groups = q.unflatten(1, (k.shape[1], -1)).flatten(2, 3)  # [B, K, H / K, D]
        out = F.scaled_dot_product_attention(groups, k, v)
        return out.flatten(1, 2).unsqueeze(2).to(kind)
    if grouped and q.device.type != "cpu":  # the kernel that takes a mask takes no groups there
        k, v, grouped = repeat_heads(k, q.shape[1]), repeat_heads(v, q.shape[1]), False
    attention = partial(F.scaled_dot_product_attention, enable_gqa=grouped)
    if T in (1, S):
        return attention(q, k, v, is_causal=T == S).to(kind)
    out = torch.empty_like(q)
    for start, end in _query_blocks(T):  # masks of a long past are small
        seen = S - T + end
        mask = torch.ones(end - start, seen, dtype=torch.bool, device=q.device).tril(S - T + start)
        out[:, :, start:end] = attention(
            q[:, :, start:end], k[:, :, :seen], v[:, :, :seen], attn_mask=mask
        )
    return out.to(kind)


@dataclass(frozen=True)
class Heads:
    """How the heads lie in qkv: so many of queries, of keys and values each, and their width."""

    count: int
    kv_count: int
    width: int

    @property
    def group_size(self) -> int:
        """How many heads of queries share one of keys and values."""
        return self.count // self.kv_count

    def split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cut [B, T, (H + 2K) D] into q [B, H, T, D], and k and v [B, K, T, D]."""
        kv = self.kv_count
        parts = qkv.unflatten(-1, (-1, self.width)).transpose(1, 2)  # [B, H + 2K, T, D]
        q, k, v = parts.split((self.count, kv, kv), 1)
        return q, k, v


def repeat_heads(x: Tensor, count: int) -> Tensor:
    """Repeat each of the heads of [B, K, S, D] until there are `count`."""
    return x if x.shape[1] == count else x.repeat_interleave(count // x.shape[1], 1)


def split_heads(qkv: Tensor, n_head: int) -> tuple[Tensor, ...]:
    """Cut [B, T, 3C] into q, k and v, each [B, H, T, D]."""
    B, T, C3 = qkv.shape
    return qkv.view(B, T, 3, n_head, C3 // 3 // n_head).permute(2, 0, 3, 1, 4).unbind(0)


def join_heads(y: Tensor) -> Tensor:
    """Put the heads of [B, H, T, D] side by side: [B, T, C]."""
    return y.transpose(1, 2).flatten(2)


class _ProductAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(D) + causal mask) v of qkv [B, T, 3C], both passes as products."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, n_head: int, dropout: float) -> Tensor:
        B, T, C3 = qkv.shape
        q, k, v = (each.flatten(0, 1).contiguous() for each in split_heads(qkv, n_head))
        out = qkv.new_empty(B, T, n_head, q.shape[-1])
        saved = _attend_blocks(q, k, v, out.transpose(1, 2), dropout)
        ctx.save_for_backward(q, k, v, *saved)
        return out.flatten(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        q, k, v, *saved = ctx.saved_tensors
        (B, T, C), D = grads[0].shape, q.shape[-1]
        grad = grads[0].view(B, T, C // D, D).transpose(1, 2)
        found = grads[0].new_empty(B, T, 3, C // D, D)
        _gradients((q, k, v), grad, saved, found.permute(2, 0, 3, 1, 4).unbind(0))
        return found.view(B, T, 3 * C), None, None


class _HeadAttention(torch.autograd.Function):
    """The same of q, k and v [B, H, T, D], which were turned or normalised before."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        B, H, T, D = q.shape
        q, k, v = (each.flatten(0, 1).contiguous() for each in (q, k, v))
        out = q.new_empty(B, T, H, D).transpose(1, 2)  # as it is joined
        saved = _attend_blocks(q, k, v, out, dropout)
        ctx.save_for_backward(q, k, v, *saved)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *saved = ctx.saved_tensors
        found = [torch.empty_like(grads[0], memory_format=torch.contiguous_format) for _ in "qkv"]
        _gradients((q, k, v), grads[0], saved, found)
        return found[0], found[1], found[2], None


def _attend_blocks(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, dropout: float
) -> list[Tensor | None]:
    """Attend into out [B, H, T, D]; return what the backward pass needs of each block of queries.

    Long windows are cut into blocks of queries, each of which looks at no later key: that leaves
    out three eighths of the work for 1,024 positions. B and H are one axis N: q, k, v [N, T, D].
    """
    B, H, T, _ = out.shape
    saved = []
    for start, end in _query_blocks(T):
        weights = torch.softmax(_scores(q[:, start:end], k[:, :end]), -1)
        kept = keep_weights(weights, dropout) if dropout else None
        seen = torch.bmm(weights if kept is None else weights * kept, v[:, :end])
        out[:, :, start:end] = seen.unflatten(0, (B, H))
        saved += [weights, kept]
    return saved


def _gradients(
    qkv: tuple[Tensor, Tensor, Tensor],
    grad: Tensor,
    saved: Sequence[Tensor | None],
    found: Sequence[Tensor],
) -> None:
    """Write into `found` the gradients of q, k and v [B, H, T, D], given that of what came out."""
    (q, k, v), (of_q, of_k, of_v) = qkv, found
    (B, _, T, _), grad = grad.shape, grad.flatten(0, 1)  # [N, T, D]
    for index, (start, end) in reversed(list(enumerate(_query_blocks(T)))):
        weights, kept = saved[2 * index : 2 * index + 2]
        gradients = _block_gradients(
            q[:, start:end], k[:, :end], v[:, :end], grad[:, start:end], cast(Tensor, weights), kept
        )
        part_q, part_k, part_v = (each.unflatten(0, (B, -1)) for each in gradients)
        of_q[:, :, start:end] = part_q
        if end == T:  # this block looks at all keys, each one before it at fewer
            of_k.copy_(part_k)
            of_v.copy_(part_v)
        else:
            of_k[:, :, :end] += part_k
            of_v[:, :, :end] += part_v


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """q k^T / sqrt(D) [N, t, S] of the last t positions of S; -inf where they may not look."""
    t, D = q.shape[1:]
    scale = 1 / math.sqrt(D)
    make_mask = _causal_mask.__wrapped__ if torch.compiler.is_compiling() else _causal_mask
    mask = make_mask(t, q.dtype)
    if t == k.shape[1]:  # all in one pass
        return torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
    scores = _product(scale, q, k.transpose(1, 2))
    scores[:, :, -t:] += mask
    return scores


def _block_gradients(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, weights: Tensor, kept: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v for some queries and all the keys they look at."""
    used = weights if kept is None else weights * kept
    grad_v = torch.bmm(used.transpose(1, 2), grad)
    grad_weights = torch.bmm(grad, v.transpose(1, 2))
    if kept is not None:
        grad_weights *= kept
    grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
    scale = 1 / math.sqrt(q.shape[-1])
    return (
        _product(scale, grad_scores, k),
        _product(scale, grad_scores.transpose(1, 2), q),
        grad_v,
    )


def _query_blocks(T: int) -> list[tuple[int, int]]:
    if T < _LONG:
        return [(0, T)]
    return [(start, min(start + _LONG // 2, T)) for start in range(0, T, _LONG // 2)]


def _product(scale: float, a: Tensor, b: Tensor) -> Tensor:
    """scale a b for batches of matrices, the factor at no cost."""
    return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=scale)


@cache
def _causal_mask(T: int, dtype: torch.dtype) -> Tensor:
    """[T, T]: 0 where a position may look, -inf where it may not."""
    return torch.full((T, T), -math.inf).triu(1).to(dtype)
