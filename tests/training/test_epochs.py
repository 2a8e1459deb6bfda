"""--epochs: as many passes over the text, whatever the machine."""

import math
from typing import Any

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import UsageError
from tuillm.training.forecast.static import look

QUICK: dict[str, Any] = dict(preset="nano", tokenizer="char", sample_tokens=0, block_size=128)


def test_epochs_become_steps_when_the_tokens_are_counted(book):
    """The preset's steps do not count any more, the schedule ends with the last pass."""
    trainer = Trainer(book, **QUICK, epochs=1.5)
    assert trainer.config.max_steps is None
    steps = list(trainer.steps())
    per_step = trainer.config.batch_size * trainer.setup.window
    assert len(steps) == math.ceil(1.5 * len(trainer.tokens.train) / per_step)
    assert 1.5 <= steps[-1].epoch < 1.5 + per_step / len(trainer.tokens.train)
    assert steps[-1].last == "finished" and steps[-1].lr < steps[len(steps) // 2].lr


def test_whichever_ends_first_ends_the_run(book):
    """Steps and epochs may both be set."""
    assert len(list(Trainer(book, **QUICK, epochs=50, max_steps=3).steps())) == 3


def test_a_forecast_counts_them_as_well(book):
    """Before anything is started."""
    config = build_train({"corpus": str(book)} | QUICK | {"epochs": 2})
    seen = look(config)
    assert seen.steps == math.ceil(2 * seen.train_tokens / seen.tokens_per_step)
    assert seen.epochs == pytest.approx(2, abs=0.1)


def test_other_programs_words_lead_to_it(book):
    """num_train_epochs is what Hugging Face calls them."""
    with pytest.raises(UsageError, match="epochs"):
        build_train({"corpus": str(book), "num_train_epochs": 3})
