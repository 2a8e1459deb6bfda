"""What training keeps and computes, for every family: gradients, and the memory they take."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from model_shapes import FAMILY_SHAPES

from tuillm.config import build_train, gpt_config
from tuillm.config.lora_layers import chosen_targets
from tuillm.model import GPT
from tuillm.model import chunked_loss as head_module
from tuillm.model.gpt import compute_block
from tuillm.model.lora import add_lora, pack_frozen
from tuillm.training.memory_estimate import block_bytes
from tuillm.training.optimizer import Optimizer

NAMES = [name for name in FAMILY_SHAPES if name != "bigram"]


def make(shape, targets=None, dtype=torch.float32):
    """A model with random weights, with adapters that already do something if there are targets."""
    model, generator = GPT(shape), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    if targets:
        add_lora(model, 4, 8.0, targets, generator)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(0, 0.1, generator=generator)
        pack_frozen(model, dtype)
    return model.train()


def batch(shape, rows=3, length=20):
    generator = torch.Generator().manual_seed(7)
    idx = torch.randint(shape.vocab_size, (rows, length), generator=generator)
    return idx, idx.roll(-1, 1)


def gradients(model):
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    return {name: grad.clone() for name, grad in found.items()}


@pytest.mark.parametrize("pieces", [False, True], ids=["kept", "in pieces"])
@pytest.mark.parametrize("name", FAMILY_SHAPES)
def test_the_loss_of_many_entries_is_the_loss(name, pieces, monkeypatch):
    """Value and gradients are those of PyTorch's cross-entropy of all logits, some left out.

    As for a large vocabulary, whose logits are kept, or are so many that none are.
    """
    monkeypatch.setattr(head_module, "LOGITS_AT_ONCE", 1)
    monkeypatch.setattr(head_module, "_TURNED", 200)
    if pieces:
        monkeypatch.setattr(gpt_config, "_KEPT_LOGITS", 0)
        monkeypatch.setattr(gpt_config, "LOGITS_PIECE", 1)
        monkeypatch.setattr(head_module, "LOGITS_PIECE", 2000)
    model = make(FAMILY_SHAPES[name])
    idx, targets = batch(model.config, rows=8)
    targets[0, 3:9] = -100
    wanted_loss = F.cross_entropy(model(idx).flatten(0, 1), targets.flatten())
    (wanted_loss / 3).backward()
    wanted = gradients(model)
    loss = model.loss(idx, targets)
    (loss / 3).backward()
    found = gradients(model)
    assert loss.item() == pytest.approx(wanted_loss.item(), abs=1e-5)
    assert found.keys() == wanted.keys()
    for which, value in found.items():
        torch.testing.assert_close(value, wanted[which], atol=2e-6, rtol=1e-4, msg=which)


def test_no_logits_are_kept_where_they_are_many(monkeypatch):
    """What lies in memory between the passes is the head's gradient, and it is bounded."""
    monkeypatch.setattr(head_module, "LOGITS_AT_ONCE", 1)
    model = make(replace(FAMILY_SHAPES["llama"], vocab_size=5000))
    kept = {}
    for pieces in (False, True):
        if pieces:
            monkeypatch.setattr(gpt_config, "_KEPT_LOGITS", 0)
            monkeypatch.setattr(gpt_config, "LOGITS_PIECE", 1)
        sizes: list[int] = []

        def note(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.loss(*batch(model.config, rows=4))
        kept[pieces] = max(sizes)
    assert kept == {False: 4 * 20 * 5000, True: 24 * 5000}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_computed_again_give_the_same_gradients(name, lora, dtype):
    """With dropout and with adapters as without."""
    shape = replace(FAMILY_SHAPES[name], dropout=0.2)
    model = make(shape, chosen_targets(shape.family, "all") if lora else None, dtype)
    found: list[tuple[float, dict[str, Any]]] = []
    for again in (False, True):
        model.recompute = again
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model.loss(*batch(shape))
        loss.backward()
        found.append((loss.item(), gradients(model)))
    (first, wanted), (second, again_found) = found
    assert first == second and wanted.keys() == again_found.keys()
    assert (wanted.keys() == {n for n in wanted if ".lora_" in n}) is lora
    for which, value in wanted.items():
        torch.testing.assert_close(again_found[which], value, atol=1e-6, rtol=1e-6, msg=which)


def wider(name):
    """A shape of a family in which what is kept is mostly activations."""
    shape = FAMILY_SHAPES[name]
    head = 32 if shape.head_dim else 0
    return replace(
        shape, n_layer=1, n_embd=96, head_dim=head, n_inner=shape.n_inner and 256, block_size=700
    )


def kept_bytes(model, settings, idx_shape):
    """The bytes that a block keeps for its backward pass of each token, weights left out."""
    low = settings.dtype == "bfloat16"
    if not settings.lora:
        Optimizer(model, settings, bf16_shadow=low)
    x = torch.randn(*idx_shape, model.config.n_embd, requires_grad=True)
    rope = model.rotary.table(0, idx_shape[1], x.device) if model.rotary else None
    shadows = [each.bf16_shadow for each in model.modules() if hasattr(each, "bf16_shadow")]
    weights = [*model.parameters(), *(rope or ()), *(each for each in shadows if each is not None)]
    outside = {each.untyped_storage().data_ptr() for each in weights}
    sizes: dict[int, tuple[int, torch.UntypedStorage]] = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in outside:
            sizes[storage.data_ptr()] = storage.nbytes(), storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            y = compute_block(model.h[0], x, rope)
    assert y.requires_grad
    return sum(size for size, _ in sizes.values()) / (x.shape[0] * x.shape[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("wanted", [None, "some", "all"], ids=["full", "lora", "lora-all"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_block_keeps_is_forecast(name, wanted, dtype):
    """The formula tells the tensors that autograd has saved, with dropout and in long windows."""
    kind = getattr(torch, dtype)
    plain = wider(name)
    first = "c_attn" if plain.family == "gpt2" else "q_proj"
    targets = chosen_targets(plain.family, first if wanted == "some" else wanted)
    settings = build_train({"corpus": "x", "max_steps": 1, "optimizer": "adamw"}).model_copy(
        update={"dtype": dtype, "lora": bool(wanted), "lora_targets": targets}
    )
    for dropout, window in ((0.0, 128), (0.1, 128), (0.0, 700)):
        shape = replace(plain, dropout=dropout)
        model = make(shape, targets if wanted else None, kind)
        real = kept_bytes(model, settings, (2, window))
        assert block_bytes(shape, settings, window) == pytest.approx(real, rel=0.1), (
            dropout,
            window,
        )
