"""The average of the weights: what it is, and that everything that shows a model uses it."""

from typing import Any

import pytest
import torch

from tuillm import Trainer
from tuillm.model import read_model
from tuillm.store.run_folder import get_run
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint, save_model
from tuillm.training.evaluate import evaluate
from tuillm.training.weight_average import WeightAverage

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=12, sample_tokens=8, dtype="float32"
)


def averaged(model):
    """A weight by which two states of a model are told apart."""
    return model.h[0].mlp.c_fc.weight.detach().clone()


def test_the_average_is_that_of_pytorch():
    """As PyTorch's AveragedModel has it with the same weight for each new value."""
    share = 0.25
    layer = torch.nn.Linear(3, 2, bias=False)
    theirs = torch.optim.swa_utils.AveragedModel(
        layer, avg_fn=lambda old, new, count: old + (new - old) / (1 + share * int(count))
    )
    theirs.update_parameters(layer)  # the first time it takes the values as they are
    ours = WeightAverage([layer.weight.data], share)
    for step in range(1, 6):
        layer.weight.data += torch.randn(2, 3)
        theirs.update_parameters(layer)
        ours.update()
        with ours.used():
            torch.testing.assert_close(layer.weight.data, theirs.module.weight.data)
        assert ours.steps == step


def test_blocks_in_each_other_put_back_what_was():
    """A sample in the middle of an evaluation changes nothing; nor does an error."""
    values, changes = torch.zeros(4), []
    average = WeightAverage([values], 0.5, lambda: changes.append(values.clone()))
    values += 1
    average.update()
    with pytest.raises(KeyError), average.used(), average.used():
        assert 0 < float(values[0]) < 1
        raise KeyError
    assert torch.equal(values, torch.ones(4))
    assert [float(each[0]) for each in changes] == [pytest.approx(2 / 3), 1.0]


def test_without_a_share_nothing_is_kept():
    """A share of 0 costs nothing."""
    average = WeightAverage([torch.ones(4)], 0.0)
    average.update()
    with average.used():
        assert not average.on and not average.in_use


def test_what_is_measured_is_what_is_published(book):
    """The model in the registry has the loss that the run has told, and is not the last weights."""
    trainer = Trainer(book, name="averaged", ema=0.3, **QUICK)
    model = trainer.run(quiet=True)
    published = read_model(model.path)
    setup = trainer.setup
    measured = evaluate(published, setup.tokens.val, setup.tokens.val_bytes, trainer.tokenizer)
    assert measured.val_loss == pytest.approx(model.card.val_loss, abs=1e-6)
    assert not torch.equal(averaged(published), averaged(trainer.model))
    last = read_model(get_run(model.card.run).last)
    assert torch.equal(averaged(last), averaged(published))


def test_sample_and_best_are_of_the_average(book, tmp_path):
    """What is saved as the best, evaluated and sampled from is one and the same model."""
    trainer = Trainer(book, ema=0.3, **QUICK)
    *_, last = trainer.steps()
    save_model(trainer, tmp_path / "best")
    best = read_model(tmp_path / "best")
    with trainer.setup.average.used():
        assert torch.equal(averaged(best), averaged(trainer.model))
        assert trainer.sample() == last.sample
    assert trainer.evaluate().val_loss == last.val_loss


def test_a_checkpoint_without_an_average_is_its_own(book, tmp_path):
    """A run that begins to average where a checkpoint knew nothing of it goes on from its model."""
    plain = Trainer(book, **QUICK)
    for metrics in plain.steps():
        if metrics.step == 5:
            break
    save_checkpoint(plain, tmp_path / "last")
    trainer = Trainer(book, ema=0.3, **QUICK)
    load_checkpoint(trainer, tmp_path / "last")
    with trainer.setup.average.used():
        assert torch.equal(averaged(trainer.model), averaged(plain.model))
    assert [metrics.step for metrics in trainer.steps()][-1] == 12


def test_an_average_of_adapters(book, tmp_path):
    """With LoRA the adapters are averaged; a resumed run goes on exactly."""
    parent = Trainer(book, name="parent", **QUICK).run(quiet=True)
    settings: dict[str, Any] = dict(
        init_from=parent.name, lora=True, preset="finetune", ema=0.3, seed=3
    )
    settings |= dict(max_steps=6, minutes=None, sample_tokens=0, dtype="float32")
    first, found = Trainer(book, **settings), []
    for metrics in first.steps():
        found.append(metrics.train_loss)
        if metrics.step == 3:
            save_checkpoint(first, tmp_path / "last")
    second = Trainer(book, **settings)
    load_checkpoint(second, tmp_path / "last")
    assert [metrics.train_loss for metrics in second.steps()] == found[3:]
