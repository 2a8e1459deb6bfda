"""Packed weights, and the choice of device and precision."""

import pytest
import torch

from tuillm.errors import UsageError
from tuillm.model import GPT, GPTConfig, choose_device, choose_dtype, kernels, pack, precision
from tuillm.model.linear_kernels import Int8Linear, LogitsLinear, PlainLinear

IDX = torch.randint(50, (2, 24), generator=torch.Generator().manual_seed(2))


def pair(scrambled, bias, tie=True):
    """The same random model twice."""
    config = GPTConfig(
        vocab_size=50, block_size=24, n_layer=2, n_head=2, n_embd=32, bias=bias, tie_weights=tie
    )
    return [scrambled(GPT(config)) for _ in range(2)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tie", [True, False])
@torch.no_grad()
def test_packed_float32_equals_unpacked(scrambled, bias, tie):
    """Packing changes where weights lie, not what float32 computes."""
    plain, other = pair(scrambled, bias, tie)
    torch.testing.assert_close(pack(other, torch.float32)(IDX), plain(IDX), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_packed_bfloat16_is_close(scrambled):
    """Packed bfloat16 gives float32 logits that point where the exact ones do."""
    plain, other = pair(scrambled, True)
    found, exact = pack(other, torch.bfloat16)(IDX), plain(IDX)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, exact, -1).min() > 0.999
    assert not torch.equal(found, exact)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-4), (torch.bfloat16, 0.5)])
@torch.no_grad()
def test_without_the_packing_operators(scrambled, monkeypatch, dtype, error):
    """Where PyTorch lacks the private operators, plain products give the same."""
    monkeypatch.setenv("TUILLM_NATIVE", "0")
    monkeypatch.setattr(kernels, "can_pack", lambda dtype: False)
    plain, other = pair(scrambled, True)
    assert (pack(other, dtype)(IDX) - plain(IDX)).abs().max() < error


@pytest.mark.parametrize(
    ("wanted", "parameters", "expected"),
    [
        ("float32", 10**9, torch.float32),
        ("bfloat16", 10, torch.bfloat16),
        ("int8", 10**9, torch.int8),
        ("auto", 10, torch.float32),
    ],
)
def test_precision_by_name(wanted, parameters, expected):
    """A named precision is taken as it is; auto keeps small models in float32."""
    assert choose_dtype(wanted, torch.device("cpu"), parameters) == (expected, "")


def test_auto_precision_of_large_models(native_library, monkeypatch):
    """Auto halves the bytes of a large model exactly where bfloat16 is faster than float32."""
    fast, native = precision.has_fast_bfloat16(), native_library is not None
    found, _ = choose_dtype("auto", torch.device("cpu"), 124_000_000, free=10**10)
    assert found == (torch.bfloat16 if fast or native else torch.float32)
    monkeypatch.setenv("TUILLM_NATIVE", "0")
    found, _ = choose_dtype("auto", torch.device("cpu"), 124_000_000, free=10**10)
    assert found == (torch.bfloat16 if fast else torch.float32)


def test_auto_precision_where_memory_is_short():
    """Where the usual precision does not fit, a smaller one is taken and the numbers are told."""
    found, why = choose_dtype("auto", torch.device("cpu"), 10**9, free=1_300_000_000)
    assert found == torch.int8
    assert "1.3 GB are free" in why


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tie", [True, False])
def test_int8_is_close(scrambled, bias, tie):
    """Eight bits give float32 logits that point where the exact ones do, in and past a prompt."""
    plain, other = pair(scrambled, bias, tie)
    found, exact = pack(other, torch.int8)(IDX), plain(IDX)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, exact, -1).min() > 0.99
    assert not torch.equal(found, exact)


@torch.no_grad()
def test_int8_keeps_its_bits_beside_a_huge_first_token():
    """GPT-2's first token has activations a hundred times those of the others; they survive."""
    x = torch.randn(1, 12, 32, generator=torch.Generator().manual_seed(1))
    x[:, 0] *= 300
    linear = torch.nn.Linear(32, 48)
    found, exact = Int8Linear(linear)(x), linear(x)
    assert (found - exact)[:, 1:].norm() / exact[:, 1:].norm() < 0.02


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_device("tpu"), "cpu"),
        (lambda: choose_dtype("int3", torch.device("cpu"), 1), "bfloat16"),
    ],
)
def test_unknown_device_or_precision(call, words):
    """A device or precision that is not there is a usage error that names the choices."""
    with pytest.raises(UsageError) as caught:
        call()
    assert words in caught.value.hint


@torch.no_grad()
def test_the_largest_logits_are_not_rounded():
    """With weights in bfloat16 they are as near as float32 gets; others as PyTorch rounds them."""
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(64, 500, bias=False), torch.randn(2, 9, 64) * 4
    wanted = x @ linear.weight.bfloat16().float().t()
    found = LogitsLinear(linear, torch.bfloat16)(x)
    rounded = PlainLinear(linear, torch.bfloat16)(x).float()
    best = wanted.topk(20).indices
    torch.testing.assert_close(
        found.gather(-1, best), wanted.gather(-1, best), atol=1e-4, rtol=1e-5
    )
    assert (rounded.gather(-1, best) - wanted.gather(-1, best)).abs().max() > 0.01
    least = wanted.topk(300, largest=False).indices
    torch.testing.assert_close(found.gather(-1, least), rounded.gather(-1, least), atol=0, rtol=0)
