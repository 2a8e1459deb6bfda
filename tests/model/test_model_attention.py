"""Attention as matrix products, against the fused one in float32 and against autograd."""

import pytest
import torch
import torch.nn.functional as F

from tuillm.model.attention import _ProductAttention, attend


def heads(*shape, seed=0):
    """Queries, keys, values and an output gradient whose values bfloat16 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).bfloat16() for _ in range(4)]


def leaves(tensors, dtype):
    return [tensor.detach().clone().to(dtype).requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("T", [1, 7, 64, 512, 700])
def test_product_attention_agrees_with_fused(T):
    """In bfloat16 under training, output and gradients are those of SDPA in float32."""
    *qkv, grad = heads(2, 3, T, 16)
    low, high = leaves(qkv, torch.bfloat16), leaves(qkv, torch.float32)
    out = attend(*low)
    assert type(out.grad_fn.next_functions[0][0]).__name__ == "_ProductAttentionBackward"
    expected = F.scaled_dot_product_attention(*high, is_causal=True)
    out.backward(grad)
    expected.backward(grad.float())
    torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.03)
    for mine, theirs in zip(low, high, strict=True):
        error = (mine.grad.float() - theirs.grad).norm() / (theirs.grad.norm() + 1e-3)
        assert error < 0.02


@pytest.mark.parametrize("long", [512, 4])
def test_product_attention_gradients_are_exact(long, monkeypatch):
    """In float64 the written backward pass is the derivative of the forward pass, in blocks too."""
    monkeypatch.setattr("tuillm.model.attention._LONG", long)
    generator = torch.Generator().manual_seed(3)
    qkv = [torch.randn(2, 6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
           for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *x: _ProductAttention.apply(*x, 0.0), qkv)


def test_dropout_keeps_the_mean():
    """Averaged over many draws, dropout in product attention changes nothing."""
    torch.manual_seed(5)
    q, k, v, _ = heads(1, 2, 8, 16)
    many = [tensor.expand(2000, -1, -1, -1).reshape(2000, 2, 8, 16).clone().requires_grad_()
            for tensor in (q, k, v)]
    dropped = attend(*many, dropout=0.3).float()
    plain = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)
    assert (dropped[0] - plain[0]).abs().max() > 0.1
    torch.testing.assert_close(dropped.mean(0), plain[0], atol=0.06, rtol=0)


def test_dropout_gradients_follow_the_mask():
    """With dropout the backward pass uses the very mask that the forward pass drew."""
    torch.manual_seed(6)
    T = 8
    generator = torch.Generator().manual_seed(7)
    q, k, grad = (torch.randn(3, T, T, generator=generator) for _ in range(3))
    v = torch.eye(T).expand(3, T, T)  # so the output is the dropped weights themselves
    mine = leaves((q, k, v), torch.float32)
    out = _ProductAttention.apply(*mine, 0.4)
    kept = (out != 0).float() * 256 / (256 - round(0.4 * 256))
    theirs = leaves((q, k, v), torch.float32)
    scores = theirs[0] @ theirs[1].transpose(1, 2) / T**0.5
    causal = torch.ones(T, T).tril().bool()
    weights = scores.masked_fill(~causal, -torch.inf).softmax(-1)
    expected = (weights * kept) @ theirs[2]
    torch.testing.assert_close(out, expected)
    out.backward(grad)
    expected.backward(grad)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
