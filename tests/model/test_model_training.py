"""What large models learn with: a loss without logits, bfloat16 shadows, blocks computed again."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tuillm.config import build_train
from tuillm.model import GPT, GPTConfig
from tuillm.model import chunked_loss as head_module
from tuillm.training.optimizer import Optimizer

SHAPE = dict(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=64)


@pytest.fixture
def small_blocks(monkeypatch):
    """Let the loss of a small vocabulary take the way of a large one, in several pieces."""
    for name, value in (("LOGITS_AT_ONCE", 1), ("_BLOCK", 700), ("_TURNED", 250)):
        monkeypatch.setattr(head_module, name, value)


def make(scrambled, **shape):
    return scrambled(GPT(GPTConfig(**(SHAPE | shape)))).train()


def batch(seed=0):
    idx = torch.randint(50, (3, 16), generator=torch.Generator().manual_seed(seed))
    return idx, idx.roll(-1, 1)


def gradients(model):
    return {
        name: value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }


def plain_loss(model, idx, targets):
    return F.cross_entropy(model(idx).float().flatten(0, 1), targets.flatten())


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_loss_without_logits_is_the_loss(scrambled, small_blocks, tie_weights, frozen):
    """Value and every gradient are those of PyTorch's cross-entropy; a frozen head gets none."""
    model = make(scrambled, tie_weights=tie_weights)
    model.lm_head.weight.requires_grad_(not frozen)
    (plain_loss(model, *batch()) / 3).backward()
    wanted = gradients(model)
    model.zero_grad()
    loss = model.loss(*batch())
    (loss / 3).backward()
    found = gradients(model)
    assert loss.item() == pytest.approx(plain_loss(model, *batch()).item(), abs=1e-6)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], atol=1e-6, rtol=1e-5)
    with torch.inference_mode():
        assert model.loss(*batch()).item() == pytest.approx(loss.item(), abs=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_computed_again_give_the_same_gradients(scrambled, dropout, dtype):
    """Loss, gradients and the random state after them are those of blocks computed once."""
    model, found = make(scrambled, dropout=dropout), {}
    for again in (False, True):
        model.zero_grad()
        model.recompute = again
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model.loss(*batch())
        loss.backward()
        found[again] = (loss.item(), gradients(model), torch.get_rng_state())
    assert found[True][0] == found[False][0]
    assert torch.equal(found[True][2], found[False][2])
    for name, value in found[False][1].items():
        torch.testing.assert_close(found[True][1][name], value, atol=1e-6, rtol=1e-6)


def test_blocks_computed_again_keep_less(scrambled):
    """What lies in memory between the passes no longer grows with what a block does."""
    model, kept = make(scrambled, n_layer=6), {}
    for again in (False, True):
        model.recompute, seen = again, {}

        def note(tensor, seen=seen):
            seen[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = model.loss(*batch())
            kept[again] = sum(seen.values())
        loss.backward()
    assert kept[True] < 0.5 * kept[False]


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_mirrored_weights_learn_as_autocasts(scrambled, small_blocks, tie_weights, bias, optimizer):
    """Two micro-batches a step give the gradients of plain autocast, step after step."""
    ours = make(scrambled, tie_weights=tie_weights, bias=bias)
    theirs = copy.deepcopy(ours)
    config = build_train(
        {
            "corpus": "x",
            "max_steps": 9,
            "optimizer": optimizer,
            "learning_rate": 1e-4,
            "muon_lr": 1e-4,
            "grad_clip": 0.5,
        }
    )
    learners = Optimizer(ours, config, bf16_shadow=True), Optimizer(theirs, config)
    for step in range(3):
        for model, learner in zip((ours, theirs), learners, strict=True):
            learner.zero_grad()
            for part in range(2):
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model.loss(*batch(2 * step + part)) / 2
                loss.backward()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (mine.grad - other.grad).norm() < 0.02 * other.grad.norm()
        norms = [learner.step(1.0) for learner in learners]
        assert norms[0] == pytest.approx(norms[1], rel=0.01)


def test_gradients_are_clipped_in_the_step(scrambled):
    """The step of a model with shadows is that of torch's AdamW behind a clipped norm."""
    ours = make(scrambled)
    theirs = copy.deepcopy(ours)
    config = build_train(
        {
            "corpus": "x",
            "max_steps": 9,
            "optimizer": "adamw",
            "grad_clip": 0.5,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
        }
    )
    learner = Optimizer(ours, config, bf16_shadow=True)
    plain = torch.optim.AdamW(theirs.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0)
    for seed in range(3):
        learner.zero_grad()
        for place, (mine, other) in enumerate(
            zip(ours.parameters(), theirs.parameters(), strict=True)
        ):
            generator = torch.Generator().manual_seed(100 * seed + place)
            other.grad = torch.randn(mine.shape, generator=generator)
            mine.grad.copy_(other.grad)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        plain.step()
        learner.step(1.0)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=2e-6, rtol=1e-5)


def test_a_mirror_follows_its_weight(scrambled):
    """After a step, and after weights were put back, the copies are the weights rounded."""
    model = make(scrambled)
    config = build_train({"corpus": "x", "max_steps": 9, "optimizer": "adamw"})
    learner = Optimizer(model, config, bf16_shadow=True)
    learner.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        model.loss(*batch()).backward()
    learner.step(1.0)
    layers = [model.lm_head, model.h[0].attn.c_attn, model.h[1].mlp.c_proj]
    assert all(torch.equal(layer.bf16_shadow, layer.weight.bfloat16()) for layer in layers)
    with torch.no_grad():
        model.wte.weight.mul_(2)
    learner.refresh()
    assert torch.equal(model.lm_head.bf16_shadow, model.wte.weight.bfloat16())
