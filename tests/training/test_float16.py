"""float16 learns as bfloat16 does: its loss is scaled, and an overflow costs a step and no more."""

import math
import shutil
from typing import Any

import pytest
import torch
from training.test_distributed import config, ended
from training.test_guards import broken_at

from tuillm import Trainer
from tuillm.store.files import read_json, write_json
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run, get_run, metric_rows
from tuillm.store.workers.launch import resume_run
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.hardware import choose_train_dtype, eval_dtype
from tuillm.training.loss_scaling import LossScaling
from tuillm.training.runner import Runner

QUICK: dict[str, Any] = dict(
    preset="nano",
    tokenizer="char",
    max_steps=10,
    sample_tokens=0,
    dtype="float16",
    batch_size=4,
    grad_accum_steps=1,
    block_size=16,
    n_layer=1,
    n_embd=32,
)
CPU = torch.device("cpu")


def prepared(book, **settings):
    trainer = Trainer(book, **QUICK | settings)
    trainer.prepare()
    return trainer


def overflowing(trainer, steps):
    """Let the gradients of these steps, counted from 1, overflow in float16, but not the loss."""
    real, taken = trainer.model.loss, 0

    class Enlarge(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, *grads):
            return grads[0] * 1e9

    def loss(idx, targets):
        nonlocal taken
        taken += trainer.model.training
        found = real(idx, targets)
        return Enlarge.apply(found) if trainer.model.training and taken in steps else found

    trainer.model.loss = loss


def state_of(trainer):
    """Weights, and what the optimizer keeps, as copies."""
    kept = trainer.setup.optimizer.state()
    tensors = *trainer.model.parameters(), *(kept[key] for key in sorted(kept))
    return [tensor.detach().clone() for tensor in tensors]


def test_the_loss_falls_as_in_bfloat16(book):
    """Step for step within what the precisions differ by; both optimizers."""
    for optimizer in ("muon", "adamw"):
        settings: dict[str, Any] = QUICK | dict(optimizer=optimizer, max_steps=30)
        half = [m.train_loss for m in Trainer(book, **settings).steps()]
        brain = [m.train_loss for m in Trainer(book, **settings | {"dtype": "bfloat16"}).steps()]
        assert half[-1] < half[0] - 1 and half == pytest.approx(brain, abs=0.08)


def test_gradients_are_in_their_own_scale_before_they_are_clipped(book):
    """The norm that is told and clipped by is that of float32, whatever the scale."""
    (exact,) = Trainer(book, **QUICK | {"dtype": "float32", "max_steps": 1}).steps()
    trainer = prepared(book)
    metrics = next(trainer.steps())
    assert metrics.grad_norm == pytest.approx(exact.grad_norm, rel=0.01)
    assert metrics.loss_scale == 65536 and metrics.skipped is None


def test_an_overflow_skips_the_step_and_halves_the_scale(book):
    """No weight, momentum or count of the optimizer changes, and the run is not rolled back."""
    trainer = prepared(book)
    overflowing(trainer, {3})
    steps = trainer.steps()
    next(steps), next(steps)
    before = state_of(trainer)
    metrics = next(steps)
    assert all(map(torch.equal, before, state_of(trainer)))
    assert metrics.skipped and math.isfinite(metrics.train_loss) and metrics.loss_scale == 65536
    assert not math.isfinite(metrics.grad_norm) and "grad_norm" not in metrics.row()
    after = next(steps)
    assert after.loss_scale == 32768 and after.skipped is None and math.isfinite(after.grad_norm)
    assert not all(map(torch.equal, before, state_of(trainer)))


def test_a_run_with_an_overflow_is_not_rolled_back(book):
    """Its metrics say which step was skipped."""
    trainer = prepared(book, name="half")
    overflowing(trainer, {4, 5})
    trainer.run(quiet=True)
    rows = list(metric_rows(get_run("half-1")))
    assert [row["step"] for row in rows if row.get("skipped")] == [4, 5]
    assert rows[-1]["loss_scale"] == 16384 and trainer.guard.rollbacks == 0
    status = get_run("half-1").status()
    assert status.state == "finished" and status.dtype == "float16"


def test_a_loss_that_is_no_number_is_still_one(book, monkeypatch):
    """It goes back to the checkpoint as in any other precision."""
    monkeypatch.setattr(CheckpointSaver, "due", True)
    trainer = prepared(book, name="rescued")
    broken_at(trainer, {6})
    trainer.run(quiet=True)
    (note,) = [note for note in get_run("rescued-1").status().notes if "went back" in note]
    assert "became nan at step 6" in note


def test_gradients_that_overflow_at_any_scale_are_no_overflow(book):
    """Once the scale is down at 1, what is no number goes to the guard."""
    scaling = LossScaling(True)
    for _ in range(16):
        scaling.update(math.inf)
        assert scaling.skipped
    assert scaling.scale == 1
    scaling.update(math.nan)
    assert not scaling.skipped and scaling.scale == 1


def test_the_scale_moves_as_that_of_pytorch():
    """Against torch.amp.GradScaler, step by step."""
    oracle = torch.amp.GradScaler("cpu", growth_interval=5)
    ours = LossScaling(True, interval=5)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    generator = torch.Generator().manual_seed(4)
    for _ in range(300):
        bad = bool(torch.rand(1, generator=generator) < 0.12)
        oracle.scale(weight.sum())
        weight.grad = torch.tensor([math.inf if bad else 1.0])
        oracle.step(optimizer)
        oracle.update()
        ours.update(math.inf if bad else 1.0)
        assert ours.scale == oracle.get_scale()
        assert ours.state()["good_steps"] == oracle.state_dict()["_growth_tracker"]


def test_interrupted_it_is_as_if_it_had_never_been(book, tmp_path):
    """Scale and its count are in the checkpoint; weights are the same bit for bit."""
    found = []
    for interrupted in (False, True):
        trainer = prepared(book, dropout=0.1)
        overflowing(trainer, {2, 5})
        trainer.setup.gradients.scaling._interval = 3
        for taken, _ in enumerate(trainer.steps(), start=1):
            if interrupted and taken == 6:
                save_checkpoint(trainer, tmp_path / "last")
                break
        if interrupted:
            trainer = Trainer(book, **QUICK, dropout=0.1)
            load_checkpoint(trainer, tmp_path / "last")
            trainer.setup.gradients.scaling._interval = 3
            assert trainer.setup.gradients.scaling.state() == {
                "loss_scale": 16384.0,
                "good_steps": 1,
            }
            list(trainer.steps())
        assert trainer.step == 10
        found.append((state_of(trainer), trainer.setup.gradients.scaling.state()))
    (undisturbed, scale), (gone_on, same_scale) = found
    assert all(map(torch.equal, undisturbed, gone_on)) and scale == same_scale
    assert scale["loss_scale"] == 32768


def test_a_run_in_another_precision_has_no_scale(book):
    """Neither in its metrics nor in its checkpoint."""
    trainer = prepared(book, dtype="float32")
    metrics = next(trainer.steps())
    assert metrics.loss_scale is None and "loss_scale" not in metrics.row()
    assert "loss_scale" not in trainer.state()[1]


def test_what_is_chosen(monkeypatch):
    """float16 where CUDA has no bfloat16 of its own; on a CPU only where a person says so."""
    cuda = torch.device("cuda")
    for real, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, r=real: r or including_emulation,
        )
        assert choose_train_dtype("auto", cuda) == dtype
    assert choose_train_dtype("auto", CPU) != torch.float16
    assert choose_train_dtype("float16", CPU) == torch.float16
    assert eval_dtype(torch.float16, 10**9, CPU) == torch.float32
    assert eval_dtype(torch.float16, 10**9, cuda) == torch.float16


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_two_processes_agree(book, tmp_path, shard):
    """About the steps that are skipped: who took such a step would compute with other weights.

    Their scale is too high at first. A process alone, where the same steps overflow, has the same
    losses.
    """
    shape = dict(max_steps=12, block_size=16, dtype="float16", optimizer="adamw")
    settings = config(book, nproc=2, shard=shard, **shape)
    run = create_run(settings, this_process())
    alone = Trainer(config=settings.model_copy(update={"nproc": 1}))
    with run.take():
        runner = Runner(alone, run, tell=lambda metrics: runner.stop())
        runner.run()
    assert run.status().state == "stopped" and run.status().step == 1
    shutil.copytree(run.last, tmp_path / "first")
    numbers = read_json(run.last / "trainer.json")
    write_json(run.last / "trainer.json", numbers | {"loss_scale": 2.0**22})
    resume_run(run)
    status = ended(run)
    assert status.state == "finished" and status.ranks == 2, run.log.read_text()
    rows = list(metric_rows(run))
    skipped = {row["step"] for row in rows if row.get("skipped")}
    assert skipped == set(range(2, max(skipped) + 1)) and 2 <= len(skipped) <= 6
    assert rows[-1]["loss_scale"] == 2.0 ** (22 - len(skipped))
    same = Trainer(config=alone.config)
    load_checkpoint(same, tmp_path / "first")
    overflowing(same, {step - 1 for step in skipped})
    losses = [metrics.train_loss for metrics in same.steps()]
    assert losses[-1] < losses[0] - 0.5
    assert [row["train_loss"] for row in rows[1:]] == pytest.approx(losses, abs=0.01)
