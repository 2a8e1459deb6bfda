"""Attention as matrix products, against the fused one in float32 and against autograd."""

import pytest
import torch
import torch.nn.functional as F

from tuillm.model.attention import _HeadAttention, _ProductAttention, attend, attend_grouped
from tuillm.model.rms_norm import RMSNorm, _Normalized
from tuillm.model.rotary import rotate
from tuillm.model.swiglu import swiglu


def drawn(*shape, seed=0):
    """Queries, keys and values side by side [B, T, 3C] for `shape` [B, T, C], and an output
    gradient; bfloat16 holds their values exactly."""
    generator = torch.Generator().manual_seed(seed)
    *outer, C = shape
    return [torch.randn(*outer, width, generator=generator).bfloat16() for width in (3 * C, C)]


def leaf(tensor, dtype):
    return tensor.detach().clone().to(dtype).requires_grad_()


def fused(qkv, n_head):
    """The same attention by PyTorch's own function."""
    B, T, C3 = qkv.shape
    q, k, v = (part.view(B, T, n_head, -1).transpose(1, 2) for part in qkv.chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y.transpose(1, 2).reshape(B, T, C3 // 3)


@pytest.mark.parametrize("T", [1, 7, 64, 512, 700])
def test_product_attention_agrees_with_fused(T):
    """In bfloat16 under training, output and gradients are those of SDPA in float32."""
    qkv, grad = drawn(2, T, 48)
    low, high = leaf(qkv, torch.bfloat16), leaf(qkv, torch.float32)
    out = attend(low, 3)
    assert type(out.grad_fn).__name__ == "_ProductAttentionBackward"
    expected = fused(high, 3)
    out.backward(grad)
    expected.backward(grad.float())
    torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.03)
    for mine, theirs in zip(low.grad.chunk(3, -1), high.grad.chunk(3, -1), strict=True):
        assert (mine.float() - theirs).norm() / (theirs.norm() + 1e-3) < 0.02


@pytest.mark.parametrize("long", [512, 4])
def test_product_attention_gradients_are_exact(long, monkeypatch):
    """In float64 the written backward pass is the derivative of the forward pass, in blocks too."""
    monkeypatch.setattr("tuillm.model.attention._LONG", long)
    generator = torch.Generator().manual_seed(3)
    qkv = torch.randn(2, 7, 3 * 8, generator=generator, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(_ProductAttention.apply(qkv, 2, 0.0), fused(qkv, 2))
    assert torch.autograd.gradcheck(lambda x: _ProductAttention.apply(x, 2, 0.0), qkv)


def test_dropout_keeps_the_mean():
    """Averaged over many draws, dropout in product attention changes nothing."""
    torch.manual_seed(5)
    qkv, _ = drawn(1, 8, 32)
    dropped = attend(qkv.expand(8000, -1, -1).clone().requires_grad_(), 2, dropout=0.3).float()
    plain = fused(qkv.float(), 2)
    assert (dropped[0] - plain[0]).abs().max() > 0.1
    torch.testing.assert_close(dropped.mean(0), plain[0], atol=0.06, rtol=0)


def test_dropout_gradients_follow_the_mask():
    """With dropout the backward pass uses the very mask that the forward pass drew."""
    torch.manual_seed(6)
    T = 8
    generator = torch.Generator().manual_seed(7)
    q, k, grad = (torch.randn(3, T, T, generator=generator) for _ in range(3))
    v = torch.eye(T).expand(3, T, T)  # so the output is the dropped weights themselves
    mine, theirs = (leaf(torch.cat((q, k, v), -1), torch.float32) for _ in range(2))
    out = _ProductAttention.apply(mine, 1, 0.4)
    kept = (out != 0).float() * 256 / (256 - round(0.4 * 256))
    q, k, v = theirs.chunk(3, -1)
    causal = torch.ones(T, T).tril().bool()
    weights = (q @ k.transpose(1, 2) / T**0.5).masked_fill(~causal, -torch.inf).softmax(-1)
    expected = (weights * kept) @ v
    torch.testing.assert_close(out, expected)
    out.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_groups_of_heads_agree_with_fused(kv_heads):
    """Queries that share keys and values: output and gradients are those of SDPA in float32."""
    generator = torch.Generator().manual_seed(8)
    made = [
        torch.randn(2, heads, 9, 16, generator=generator).bfloat16()
        for heads in (4, kv_heads, kv_heads)
    ]
    low = [leaf(each, torch.bfloat16) for each in made]
    high = [leaf(each, torch.float32) for each in made]
    out = attend_grouped(*low)
    assert type(out.grad_fn).__name__ == "_HeadAttentionBackward"
    q, k, v = high
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    grad = torch.randn(expected.shape, generator=generator).bfloat16()
    out.backward(grad)
    expected.backward(grad.float())
    torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.03)
    for mine, theirs in zip(low, high, strict=True):
        assert (mine.grad.float() - theirs.grad).norm() / theirs.grad.norm() < 0.02


@pytest.mark.parametrize("long", [512, 4])
def test_what_is_written_by_hand_is_exact(long, monkeypatch):
    """In float64 each backward pass is the derivative of PyTorch's own forward pass."""
    monkeypatch.setattr("tuillm.model.attention._LONG", long)
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    q, k, v = (draw(2, 2, 7, 4) for _ in "qkv")
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(_HeadAttention.apply(q, k, v, 0.0), expected)
    assert torch.autograd.gradcheck(lambda *x: _HeadAttention.apply(*x, 0.0), (q, k, v))

    angles = torch.rand(7, 2, generator=generator, dtype=torch.float64)
    table = angles.cos(), angles.sin()
    first, second = q.chunk(2, -1)
    turned = torch.cat(
        (first * table[0] - second * table[1], second * table[0] + first * table[1]), -1
    )
    torch.testing.assert_close(rotate(q, table), turned)
    assert torch.autograd.gradcheck(lambda x: rotate(x, table), q)

    x, norm = draw(3, 5, 6), RMSNorm(6, 1e-5, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.normal_(generator=generator)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (6,), norm.weight, 1e-5))
    assert torch.autograd.gradcheck(lambda x, w: _Normalized.apply(x, w, 1e-5), (x, norm.weight))

    gate, up = x.chunk(2, -1)
    torch.testing.assert_close(swiglu(x), F.silu(gate) * up)
    assert torch.autograd.gradcheck(swiglu, x)
