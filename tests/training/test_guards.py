"""Memory that runs out, losses that are no numbers and losses that spike do not end a run."""

import math
import random
from typing import Any

import pytest
import torch

from tuillm import Trainer
from tuillm.errors import TuillmError
from tuillm.store.jsonl import read_rows
from tuillm.store.registry import get_model, list_models
from tuillm.store.run_folder import get_run, metric_rows
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.guards import Diverged, LossGuard

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=20, sample_tokens=0, dtype="float32"
)
REFUSALS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError("cannot allocate"),
]


def holds(trainer, most, refusal, where="forward"):
    """Let the memory of a trainer hold `most` windows at once, in training."""
    real = trainer.model.loss

    class Refuse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, *grads):
            raise refusal

    def loss(idx, targets):
        if len(idx) <= most:
            return real(idx, targets)
        if where == "forward":
            raise refusal
        return Refuse.apply(real(idx, targets))

    trainer.model.loss = loss


def gradients(trainer):
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_batch_that_the_memory_does_not_hold_is_computed_in_parts(book, refusal, where):
    """The micro-batch is halved until it fits; loss and gradients are those of the whole batch."""
    found = []
    for most in (8, 3):
        trainer = Trainer(book, **QUICK, batch_size=8, grad_accum_steps=2)
        trainer.prepare()
        holds(trainer, most, refusal, where)
        loss = float(trainer.setup.gradients.accumulate())
        found.append((loss, gradients(trainer), trainer.setup.gradients.micro_batch))
    (whole, expected, _), (parts, computed, micro_batch) = found
    assert micro_batch == 2 and parts == pytest.approx(whole, abs=1e-5)
    assert torch.allclose(computed, expected, atol=1e-6)


def test_parts_weigh_as_many_tokens_as_they_predict(tmp_path):
    """With answers alone to learn, a window of few of them counts for little."""
    rows = [{"question": f"Who is {n}?", "answer": "Salt. " * (n % 7 + 1)} for n in range(60)]
    found = []
    for most in (8, 3):
        trainer = Trainer(texts=rows, **QUICK | dict(batch_size=8))
        trainer.prepare()
        assert trainer.tokens.train_mask is not None
        holds(trainer, most, REFUSALS[0])
        found.append((float(trainer.setup.gradients.accumulate()), gradients(trainer)))
    (whole, expected), (parts, computed) = found
    assert parts == pytest.approx(whole, abs=1e-5)
    assert torch.allclose(computed, expected, atol=1e-6)


def test_a_run_that_runs_out_of_memory_goes_on_and_says_so(book):
    """In its metrics and its notes; a run that goes on begins with what has fitted."""
    trainer = Trainer(book, **QUICK, batch_size=8, name="small")
    trainer.prepare()
    holds(trainer, 4, REFUSALS[0])
    trainer.run(quiet=True)
    run = get_run("small-1")
    assert {row["micro_batch"] for row in metric_rows(run)} == {4}
    assert "memory was short: batches of 8 are computed 4 at a time" in run.status().notes
    resumed = Trainer(config=run.config)
    load_checkpoint(resumed, run.last)
    assert resumed.setup.gradients.micro_batch == 4
    assert any("4 at a time" in note for note in resumed.notes)


def test_memory_for_not_even_one_window_ends_the_run_in_one_line(book):
    """With what to try; the best so far is nothing here."""
    trainer = Trainer(book, **QUICK, batch_size=4)
    trainer.prepare()
    holds(trainer, 0, REFUSALS[1])
    with pytest.raises(TuillmError, match="does not hold a single window") as caught:
        trainer.run(quiet=True)
    assert "block_size" in caught.value.hint and get_run("book-1").status().state == "failed"


def test_other_errors_are_not_taken_for_a_lack_of_memory(book):
    """A fault of ours is told as what it is."""
    trainer = Trainer(book, **QUICK)
    trainer.prepare()
    holds(trainer, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trainer.setup.gradients.accumulate()


def broken_at(trainer, steps, factor=math.nan):
    """Multiply the loss of these training steps, counted from 1 and over rollbacks."""
    real, taken = trainer.model.loss, 0

    def loss(idx, targets):
        nonlocal taken
        taken += trainer.model.training
        found = real(idx, targets)
        return found * factor if trainer.model.training and taken in steps else found

    trainer.model.loss = loss


def test_a_loss_that_is_no_number_goes_back_to_the_checkpoint(book, monkeypatch):
    """Its data is skipped, the rates are halved, and that is kept in the checkpoint."""
    monkeypatch.setattr(CheckpointSaver, "due", True)
    trainer = Trainer(book, **QUICK, name="rescued")
    trainer.prepare()
    broken_at(trainer, {11})
    model = trainer.run(quiet=True)
    run = get_run("rescued-1")
    text = run.metrics.read_text()
    assert '"resumed":' in text and model.name == "rescued"
    rows = list(metric_rows(run))
    assert [row["step"] for row in rows] == list(range(1, 21))
    undisturbed = [m.row() for m in Trainer(book, **QUICK).steps()]
    for row, same in zip(rows, undisturbed, strict=True):
        halved = row["lr"] == pytest.approx(same["lr"] / 2)
        assert halved == (row["step"] > 10), row
    assert [r["train_loss"] for r in rows[:10]] == [r["train_loss"] for r in undisturbed[:10]]
    # the windows of step 11 were read and are not learned: step 11 is what step 12 was to read
    assert rows[10]["train_loss"] != undisturbed[10]["train_loss"]
    (note,) = [note for note in run.status().notes if "went back" in note]
    assert "once" in note and "became nan at step 11" in note
    resumed = Trainer(config=run.config)
    load_checkpoint(resumed, run.last)
    assert resumed.guard.rollbacks == 1 and any("went back" in note for note in resumed.notes)


def test_without_a_checkpoint_a_run_begins_anew(book):
    """Its first weights are those of its seed; the data that went wrong is skipped."""
    trainer = Trainer(book, **QUICK)
    trainer.prepare()
    first = [p.detach().clone() for p in trainer.model.parameters()]
    broken_at(trainer, {3})
    with pytest.raises(Diverged, match="step 3") as caught:
        list(trainer.steps())
    position = trainer.setup.batches.position
    trainer.roll_back(caught.value, trainer.restart)
    again = list(trainer.model.parameters())
    assert all(map(torch.equal, first, again)) and trainer.step == 0
    assert trainer.setup.batches.position == position > 0
    assert [metrics.step for metrics in trainer.steps()] == list(range(1, 21))


def test_a_run_that_goes_wrong_again_and_again_fails_and_keeps_its_best(book, monkeypatch):
    """After max_rollbacks; what it had learned before is published, and the hint names it."""
    monkeypatch.setattr(CheckpointSaver, "due", True)
    trainer = Trainer(book, **QUICK | dict(eval_interval=5), max_rollbacks=2)
    trainer.prepare()
    broken_at(trainer, set(range(8, 1000)))
    with pytest.raises(Diverged, match="the loss became nan") as caught:
        trainer.run(quiet=True)
    status = get_run("book-1").status()
    assert status.state == "failed" and "the best so far is 'book'" in caught.value.hint
    assert get_model("book").card.steps == 5 and trainer.guard.rollbacks == 2
    assert status.error == caught.value.message and [m.name for m in list_models()] == ["book"]


def test_gradients_that_are_no_numbers_change_no_weight(book):
    """Neither weights nor what the optimizer keeps of earlier steps."""
    trainer = Trainer(book, **QUICK)
    trainer.prepare()
    trainer.take_step(1.0)
    before = {key: value.clone() for key, value in trainer.setup.optimizer.state().items()}
    weights = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.setup.gradients.accumulate()
    next(trainer.model.parameters()).grad.view(-1)[0] = math.inf
    assert trainer.setup.optimizer.step(1.0) == math.inf
    assert all(map(torch.equal, weights, trainer.model.parameters()))
    after = trainer.setup.optimizer.state()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_spike_is_a_loss_far_above_what_came_before():
    """Four steps of it; a single bad batch, noise and a slow rise are none."""
    draw = random.Random(3)
    guard = LossGuard(3)
    for step in range(2000):
        loss = 5 * math.exp(-step / 300) + 2 + draw.gauss(0, 0.15)
        guard.check(step, loss + 4 * (step % 100 == 50), 1.0)
    assert not guard.suspicious
    for step in range(3):
        guard.check(step, 6.0, 1.0)
        assert guard.suspicious
    with pytest.raises(Diverged, match=r"spiked to 6\.00 at step 1,003"):
        guard.check(1003, 6.0, 1.0)


def test_with_no_rollbacks_a_spike_is_left_alone():
    """What is no number ends the run all the same."""
    guard = LossGuard(0)
    for step in range(100):
        guard.check(step, 2.0 if step < 80 else 9.0, 1.0)
    with pytest.raises(Diverged):
        guard.check(100, math.inf, 1.0)


def test_a_spike_is_rescued_in_a_run(book, monkeypatch):
    """The checkpoint it goes back to is of before the spike, however often one is saved."""
    monkeypatch.setattr(CheckpointSaver, "due", True)
    trainer = Trainer(book, **QUICK | dict(max_steps=60), name="spiked")
    trainer.prepare()
    broken_at(trainer, set(range(45, 49)), factor=40.0)
    trainer.run(quiet=True)
    run = get_run("spiked-1")
    assert run.status().state == "finished"
    assert {row["resumed"] for row in read_rows(run.metrics)[0] if "resumed" in row} == {44}
    assert max(row["train_loss"] for row in metric_rows(run)) < 10


def test_the_state_of_the_guards_is_in_the_checkpoint(book, tmp_path):
    """A run that goes on judges the next loss as one that was never stopped."""
    trainer = Trainer(book, **QUICK)
    steps = trainer.steps()
    for _ in range(7):
        next(steps)
    save_checkpoint(trainer, tmp_path / "last")
    other = Trainer(book, **QUICK)
    load_checkpoint(other, tmp_path / "last")
    assert other.guard.state() == trainer.guard.state()
    assert len(other.guard.state()["recent_losses"]) == 7
