"""Runs with teachers: the loss against them, the stages, and that no kill changes any of it."""

import time
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tuillm import Trainer
from tuillm.config import TrainConfig, build_train
from tuillm.errors import UsageError
from tuillm.model import GPT, GPTConfig, read_model
from tuillm.model.chunked_loss import IGNORED
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.distillation import WEIGHT, Teachers
from tuillm.training.guards import Diverged
from tuillm.training.runner import Runner
from tuillm.training.stages import TEACHING, Stages

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=20, teachers=2, sample_tokens=4, dtype="float32"
)


def model_of(seed):
    """A small GPT with weights of a seed."""
    model = GPT(GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8))
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3, generator=generator)
    return model


def history(metrics):
    """What must not depend on the clock."""
    return [(m.step, m.train_loss, m.val_loss, m.lr, m.epoch, m.sample) for m in metrics]


def test_the_loss_is_the_divergence_from_the_mean_prediction():
    """Against PyTorch's kl_div, plus the entropy of the mean, plus the loss of the text."""
    student, teachers = model_of(1).train(), [model_of(2), model_of(3)]
    idx = torch.randint(0, 11, (2, 8), generator=torch.Generator().manual_seed(1))
    targets = torch.roll(idx, -1, 1)
    targets[0, :3] = IGNORED
    wanted = targets.flatten() != IGNORED
    with torch.no_grad():
        mean = torch.stack([torch.softmax(each(idx), -1) for each in teachers]).mean(0)
        logs = torch.log_softmax(student(idx), -1).flatten(0, 1)[wanted]
        mean = mean.flatten(0, 1)[wanted]
        soft = F.kl_div(logs, mean, reduction="batchmean") - (mean * mean.log()).sum(-1).mean()
        expected = WEIGHT * soft + (1 - WEIGHT) * student.loss(idx, targets)
    found = Teachers(teachers).loss(student, idx, targets)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert student.wte.weight.grad is not None
    assert all(parameter.grad is None for each in teachers for parameter in each.parameters())


def test_nothing_to_predict_is_no_loss():
    """As without teachers: a batch of questions alone teaches nothing."""
    idx = torch.zeros((1, 8), dtype=torch.long)
    ignored = torch.full_like(idx, IGNORED)
    loss = Teachers([model_of(2)]).loss(model_of(1).train(), idx, ignored)
    assert float(loss.detach()) == 0


def test_stages_divide_the_run():
    """The teachers share TEACHING of it equally; each stage goes from 0 to 1."""
    stages = Stages(build_train({"corpus": "x", **QUICK}))
    each = TEACHING / 2
    assert stages.progress(each / 2) == pytest.approx(0.5)
    assert not stages.over(each - 1e-9) and stages.over(each)
    assert stages.words == "teacher 1 of 2"
    stages.enter(1, 5)
    assert stages.progress(each * 1.5) == pytest.approx(0.5) and stages.over(TEACHING)
    stages.enter(2, 10)
    assert stages.progress(TEACHING) == 0 and stages.progress(1.0) == 1
    assert not stages.over(1.0) and stages.words == "learns from 2 teachers"
    alone = Stages(TrainConfig(corpus="x", max_steps=5))
    assert alone.progress(0.25) == 0.25 and not alone.over(1.0) and not alone.words


def test_each_model_begins_anew_from_its_own_seed(book):
    """The learning rate rises three times, the epochs count anew, and weights differ."""
    trainer = Trainer(book, **QUICK)
    metrics, begun = [], {}
    for each in trainer.steps():
        metrics.append(each)
        begun.setdefault(trainer.stages.number, (each.step, trainer.setup.batches._seed))
    assert begun == {0: (1, 1337), 1: (8, 1338), 2: (14, 1339)}
    assert [m.step for m in metrics if m.epoch == metrics[0].epoch] == [1, 8, 14]
    rises = [m.step for before, m in zip(metrics, metrics[1:], strict=False) if m.lr > before.lr]
    assert {8, 14} <= set(rises) and metrics[12].lr < metrics[8].lr / 3
    assert max(m.lr for m in metrics[13:]) < 0.6 * max(m.lr for m in metrics[:7])
    # each teacher is measured at its end
    assert metrics[6].val_loss is not None and metrics[12].val_loss is not None
    first, second = trainer._teachers
    assert not torch.equal(first.wte.weight, second.wte.weight)


def test_who_learns_from_teachers_begins_as_the_last_of_them(book):
    """Its first loss is not that of a new model, nor is its first evaluation."""
    trainer = Trainer(book, **QUICK | dict(max_steps=100, eval_interval=100))
    for metrics in trainer.steps():
        if trainer.stages.number == 1 and trainer.stages.over(trainer.progress):
            taught = metrics.val_loss
        if trainer.stages.learns_from_teachers:
            assert trainer.evaluate().val_loss == pytest.approx(taught, abs=0.05)
            break


@pytest.mark.everyday(2)
@pytest.mark.parametrize("at", [3, 6, 7, 14])
def test_a_checkpoint_goes_on_exactly(book, tmp_path, at):
    """In a teacher, between two stages and while learning from them."""
    settings = QUICK | {"ema": 0.2, "token_dropout": 0.1, "dropout": 0.1, "eval_interval": 4}
    undisturbed = history(Trainer(book, **settings).steps())
    first, found = Trainer(book, **settings), []
    for metrics in first.steps():
        found.append(metrics)
        if metrics.step == at:
            save_checkpoint(first, tmp_path / "last")
            break
    second = Trainer(book, **settings)
    load_checkpoint(second, tmp_path / "last")
    assert history([*found, *second.steps()]) == undisturbed


def test_the_best_of_all_is_published(book):
    """Whichever model has the lowest loss; the run's status tells what is trained."""
    config = build_train({"corpus": str(book), "name": "best-of", **QUICK})
    run = create_run(config, this_process())
    doing = []
    runner = Runner(
        Trainer(config=config), run, tell=lambda metrics: doing.append(runner._record.status.doing)
    )
    model = runner.run()
    losses = [row["val_loss"] for row in metric_rows(run) if "val_loss" in row]
    assert model.card.val_loss == pytest.approx(min(losses), abs=1e-6)
    assert read_model(model.path).config.n_layer == 2
    taught = run.status().best_step > runner._trainer.stages.first_step
    assert model.card.teachers == (2 if taught else None)
    assert set(doing) == {"", "teacher 1 of 2", "teacher 2 of 2", "learns from 2 teachers"}
    assert run.status().doing == ""


def test_a_rollback_into_the_stage_before(book, tmp_path):
    """A checkpoint of a teacher takes the run back to that teacher, and it ends as it should."""
    trainer = Trainer(book, **QUICK)
    for metrics in trainer.steps():
        if metrics.step == 5:
            save_checkpoint(trainer, tmp_path / "last")
        if metrics.step == 8:
            break
    trainer.roll_back(
        Diverged("the loss is nan"), lambda: load_checkpoint(trainer, tmp_path / "last")
    )
    assert trainer.step == 5 and trainer.stages.number == 0 and not trainer._teachers
    assert [metrics.step for metrics in trainer.steps()][-1] == 20
    assert len(trainer._teachers) == 2


def test_an_extension_goes_on_with_the_model_itself(book):
    """It does not go back to a teacher."""
    trainer = Trainer(book, **QUICK)
    list(trainer.steps())
    trainer.extend(40)
    metrics = list(trainer.steps())
    assert metrics[-1].step == 60 and trainer.stages.learns_from_teachers
    assert len(trainer._teachers) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"init_from": "gpt2", "preset": "finetune", "patience": 0}, "set teachers 0"),
        ({"nproc": 2}, "set nproc 1"),
        ({"patience": 3}, "set patience 0"),
        ({"teachers": 17}, "16"),
    ],
    ids=str,
)
def test_what_does_not_go_with_teachers_is_refused(settings, words):
    """One line says why, and what would do."""
    with pytest.raises(UsageError, match=words):
        build_train({"corpus": "x", **QUICK, **settings}, shape_of=lambda name: None)


@pytest.mark.slow
def test_each_teacher_is_measured_at_its_end_on_the_clock(book):
    """However long whoever reads the metrics takes between two steps."""
    trainer = Trainer(book, **QUICK | dict(max_steps=None, minutes=0.05, eval_interval=10**6))
    measured = []
    for metrics in trainer.steps():
        measured += [metrics.step] if metrics.val_loss is not None else []
        until_time = time.perf_counter() + 0.01
        while time.perf_counter() < until_time:
            pass
        last_of_stage = trainer.stages.first_step
        assert not last_of_stage or last_of_stage in measured
    assert len(measured) == 3
