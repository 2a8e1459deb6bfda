"""The optimizers on flat memory, against torch's own on separate parameters."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_shapes import FAMILY_SHAPES

from tuillm.config import build_train
from tuillm.model import GPT, GPTConfig
from tuillm.training.muon import orthogonalise
from tuillm.training.optimizer import Optimizer

C = 16


def make(bias=True, tie=True):
    model = GPT(
        GPTConfig(
            vocab_size=30, block_size=8, n_layer=2, n_head=2, n_embd=C, bias=bias, tie_weights=tie
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model


def config(**settings):
    return build_train({"corpus": "x", "max_steps": 10} | settings)


@pytest.mark.parametrize("grad_clip", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("tie", [True, False])
def test_flat_adamw_equals_torchs(grad_clip, tie):
    """Five steps on flat buffers are five steps of torch.optim.AdamW on each parameter."""
    model = make(tie=tie)
    theirs = copy.deepcopy(model)
    ours = Optimizer(
        model,
        config(
            optimizer="adamw",
            learning_rate=0.02,
            weight_decay=0.3,
            beta1=0.8,
            beta2=0.95,
            grad_clip=grad_clip,
        ),
    )
    groups = [
        {"params": [p for p in theirs.parameters() if p.dim() >= 2], "weight_decay": 0.3},
        {"params": [p for p in theirs.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    plain = torch.optim.AdamW(groups, betas=(0.8, 0.95))
    generator = torch.Generator().manual_seed(1)
    for factor in (0.2, 0.6, 1.0, 0.7, 0.1):
        ours.zero_grad()
        for mine, other in zip(model.parameters(), theirs.parameters(), strict=True):
            grad = torch.randn(mine.shape, generator=generator)
            mine.grad.copy_(grad)
            other.grad = grad
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), grad_clip or 1e9)
        for group in plain.param_groups:
            group["lr"] = 0.02 * factor
        plain.step()
        assert ours.step(factor) == pytest.approx(float(norm), rel=1e-5)
    for mine, other in zip(model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=2e-6, rtol=1e-5)


def matrices(rows, cols, seed=0):
    """Three matrices whose singular values run from 0.1 to 1, and their U V^T."""
    generator = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(3, rows, cols, generator=generator), full_matrices=False)
    return u * torch.linspace(0.1, 1, min(rows, cols)) @ v, u @ v


@pytest.mark.parametrize(("rows", "cols"), [(16, 16), (48, 48), (64, 16), (16, 64), (5, 1)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_orthogonalise(rows, cols, scale):
    """All singular values come near 1, and the directions are those of the polar factor."""
    found, polar = matrices(rows, cols)
    found = orthogonalise(scale * found)
    values = torch.linalg.svdvals(found)
    assert 0.6 < values.min() and values.max() < 1.3
    assert torch.cosine_similarity(found.flatten(1), polar.flatten(1)).min() > 0.97


def test_muon_drives_each_matrix_by_itself():
    """Of a step each block matrix gets an orthogonal update, q, k and v one each; no other does.

    Tall matrices move further, by the square root of their proportions.
    """
    model = make(bias=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = Optimizer(model, config(optimizer="muon", muon_lr=0.05, learning_rate=1e-12))
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        parameter.grad.normal_(generator=generator)
        if name.startswith("h.") and parameter.dim() == 2:
            # of very different sizes, so that one update for q, k and v together would show
            pieces = parameter.grad.split(C) if "c_attn" in name else [parameter.grad]
            for place, piece in enumerate(pieces):
                piece.copy_(matrices(*piece.shape)[0][0] / 100**place)
    optimizer.step(1.0)
    for name, parameter in model.named_parameters():
        moved = (before[name] - parameter.detach()) / 0.05
        if name.startswith("h.") and parameter.dim() == 2:
            pieces = moved.split(C) if "c_attn" in name else [moved]
            scale = 2.0 if "c_fc" in name else 1.0
            for piece in pieces:
                values = torch.linalg.svdvals(piece) / scale
                assert 0.6 < values.min() and values.max() < 1.3, name
        else:
            assert moved.abs().max() < 1e-5, name


def own_matrices(model):
    """Each block's matrices that compute by themselves: views of the parameters, and what is left.

    Cut by the widths in the settings of the family, not by what the optimizer knows.
    """
    shape, found, rest = model.config, [], [model.wte.weight, model.ln_f.weight]
    rest += [
        each for each in (model.ln_f.bias if not shape.rms_norm else None,) if each is not None
    ]
    rest += [model.lm_head.weight] if not shape.tie_weights else []
    rest += [model.wpe.weight] if model.wpe is not None else []
    D = shape.head_dim or shape.n_embd // shape.n_head
    keys = (shape.n_kv_head or shape.n_head) * D
    for block in model.h:
        q, k = shape.n_head * D, shape.n_head * D + keys
        qkv, fc = block.attn.c_attn.weight, block.mlp.c_fc.weight
        found += [qkv[:q], qkv[q:k], qkv[k:], block.attn.c_proj.weight, block.mlp.c_proj.weight]
        found += fc.chunk(2) if shape.gated_mlp else [fc]
        rest += [each for each in block.parameters() if each.dim() == 1]
    return found, rest


def plain_muon(value, grad, momentum, lr, decay):
    """One step for one matrix, as Keller Jordan's own script has it, in float64."""
    momentum.lerp_(grad, 0.05)
    x = grad.lerp(momentum, 0.95).double()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        A = x @ x.T
        x = 3.4445 * x + (-4.7750 * A + 2.0315 * A @ A) @ x
    x = (x.T if tall else x).float()
    value.mul_(1 - lr * decay).sub_(lr * max(1.0, x.shape[0] / x.shape[1]) ** 0.5 * x)


@pytest.mark.parametrize("name", [name for name in FAMILY_SHAPES if name != "bigram"])
def test_muon_is_a_plain_loop_over_separate_matrices(name):
    """Queries, keys, values, gate and up each by themselves; biases and norms by AdamW, undecayed.

    Three steps with decay on both sides.
    """
    model = GPT(FAMILY_SHAPES[name])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    twin = copy.deepcopy(model)
    settings = config(
        optimizer="muon", muon_lr=0.05, muon_weight_decay=0.4, learning_rate=0.01, grad_clip=0.0
    )
    ours = Optimizer(model, settings, dtype=torch.float32)
    found, rest = own_matrices(twin)
    momenta = [torch.zeros_like(each) for each in found]
    groups = [
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
    ]
    betas = settings.beta1, settings.beta2
    plain = torch.optim.AdamW([g for g in groups if g["params"]], lr=0.01, betas=betas)
    for _ in range(3):
        for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
            grad = torch.randn(mine.shape, generator=generator)
            mine.grad.copy_(grad)
            other.grad = grad
        grads, _ = own_matrices(gradients_of(twin))
        with torch.no_grad():
            for value, grad, momentum in zip(found, grads, momenta, strict=True):
                plain_muon(value, grad, momentum, 0.05, 0.4)
        plain.step()
        ours.step(1.0)
    for (which, mine), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-4, msg=which)


def gradients_of(model):
    """A model whose parameters are another one's gradients."""
    twin = copy.deepcopy(model)
    for its, other in zip(twin.parameters(), model.parameters(), strict=True):
        its.data = other.grad
    return twin


@pytest.mark.slow
def test_muon_on_shards_is_muon_on_whole_tensors():
    """Of two processes, for groups of matrices of several sizes as well."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, Path(__file__).with_name("sharded_muon.py")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 4 and max(found.values()) < 1e-5, found


def test_muon_weight_decay():
    """Muon's weight decay shrinks the matrices by lr times decay before the update."""
    moved = {}
    for decay in (0.0, 2.0):
        model = make()
        start = model.h[0].attn.c_proj.weight.detach().clone()
        optimizer = Optimizer(model, config(muon_lr=0.1, muon_weight_decay=decay))
        model.h[0].attn.c_proj.weight.grad.copy_(matrices(C, C)[0][0])
        optimizer.step(0.5)
        moved[decay] = start - model.h[0].attn.c_proj.weight.detach()
    # both the rate and the decay follow the schedule
    expected = moved[0.0] + 0.1 * 0.5 * (2.0 * 0.5) * start
    torch.testing.assert_close(moved[2.0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_parameters_stay_usable(optimizer):
    """Parameters and gradients in flat memory serve autograd, and a tied head stays tied."""
    model = make()
    stepper = Optimizer(model, config(optimizer=optimizer))
    idx = torch.arange(8)[None]
    first = model.loss(idx, idx)
    for _ in range(5):
        stepper.zero_grad()
        loss = model.loss(idx, idx)
        loss.backward()
        stepper.step(1.0)
    assert loss < first
    assert model.lm_head.weight is model.wte.weight


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_state_goes_on_exactly(optimizer):
    """An optimizer that loads another's state takes the very same next steps."""
    settings, generator = config(optimizer=optimizer), torch.Generator().manual_seed(5)

    def walk(model, stepper, steps):
        for _ in range(steps):
            for parameter in model.parameters():
                parameter.grad.normal_(generator=generator)
            stepper.step(0.8)

    model = make()
    stepper = Optimizer(model, settings)
    walk(model, stepper, 3)
    twin = make()
    twin.load_state_dict(model.state_dict())
    other = Optimizer(twin, settings)
    other.load_state({name: value.clone() for name, value in stepper.state().items()})
    place = generator.get_state()
    walk(model, stepper, 3)
    generator.set_state(place)
    walk(twin, other, 3)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
