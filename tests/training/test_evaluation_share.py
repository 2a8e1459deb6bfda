"""How much of a held-out text a run evaluates on: a twentieth of its time, the same tokens."""

import json
import math
from typing import Any

import numpy as np
import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.training.auto_settings import (
    eval_token_count,
    eval_tokens_note,
    min_eval_tokens,
    min_sample_tokens,
    sample_token_count,
)
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.evaluate import evaluate, spread
from tuillm.training.schedule import EVAL_SHARE, EVALUATIONS

QUICK: dict[str, Any] = dict(preset="nano", max_steps=20, sample_tokens=0, tokenizer="char")


@pytest.fixture
def long_book(tmp_path, book_text):
    """A text of which 60,000 characters are held out."""
    path = tmp_path / "long.txt"
    path.write_text(book_text * 20, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "limits",
    [
        dict(max_steps=20),
        dict(max_steps=100_000),
        dict(minutes=0.2),
        dict(minutes=60),
        dict(max_steps=1000, minutes=10),
        dict(max_steps=5000, eval_interval=10),
        dict(minutes=5, eval_interval=100),
    ],
    ids=str,
)
def test_all_evaluations_take_a_twentieth(limits):
    """Whatever ends the run, whatever the speeds, only a tenth of a second's work may exceed it."""
    config = build_train({"preset": "nano", "corpus": "x"} | limits)
    for exponent in range(-8, 0):
        for step in (0.001, 0.1, 30.0):
            for parameters in (50_000, 10**6, 10**8):
                token = 10.0**exponent
                measured = eval_token_count(config, 4_100_000, parameters, 32, step, token)
                seconds = min(
                    limits.get("max_steps", math.inf) * step, 60 * limits.get("minutes", math.inf)
                )
                interval = limits.get("eval_interval")
                times = seconds / step / interval if interval else EVALUATIONS
                fewest = max(min_eval_tokens(parameters), 32)
                assert measured <= fewest or (
                    measured * token * max(times, 1) <= EVAL_SHARE * seconds
                )
                assert measured == 4_100_000 or measured % 32 == 0 < measured
    assert eval_token_count(config, 4000, 50_000, 32, 1e-6, 1.0) == 4000


def test_a_long_text_is_measured_in_part(long_book):
    """Ten evaluations, each of the same windows spread over the text; the note says how much."""
    trainer = Trainer(long_book, **QUICK)
    metrics = list(trainer.steps())
    assert [m.step for m in metrics if m.val_loss is not None] == [*range(2, 21, 2)]
    tokens, val = trainer.evaluations.tokens, trainer.tokens.val
    assert tokens <= min_eval_tokens(trainer.model.parameter_count) < len(val) // 10
    note = eval_tokens_note(tokens, len(val) - 1)
    assert note in trainer.notes and f"{tokens:,} of the 59,999 tokens" in note
    starts = spread(len(val) - 1, 32, tokens)
    assert len(starts) * 32 == tokens and starts[-1] > 0.9 * len(val)
    parts = [
        evaluate(trainer.model, val[start : start + 33], 0, trainer.tokenizer).val_loss
        for start in starts
    ]
    last = metrics[-1]
    assert last.val_loss == pytest.approx(np.mean(parts), abs=1e-6)
    text = b"".join(
        trainer.tokenizer.token_bytes(int(id))
        for start in starts
        for id in val[start + 1 : start + 33]
    )
    assert last.bits_per_byte == pytest.approx(
        last.val_loss * tokens / math.log(2) / len(text), rel=1e-6
    )


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    "settings",
    [
        dict(tokenizer="char"),
        dict(init_from="book", preset="finetune"),
        dict(init_from="book", preset="finetune", lora=True),
        dict(tokenizer="char", grad_checkpoint=True, grad_accum_steps=2, optimizer="adamw"),
    ],
    ids=str,
)
def test_measuring_speeds_leaves_no_trace(long_book, monkeypatch, model, settings):
    """The steps are those of a run that measured nothing."""
    settings = QUICK | dict(tokenizer="auto", dropout=0.2, max_steps=6) | settings
    measured = [m.train_loss for m in Trainer(long_book, **settings).steps()]
    monkeypatch.setattr("tuillm.training.eval_schedule._step_seconds", lambda trainer: 0.01)
    assert [m.train_loss for m in Trainer(long_book, **settings).steps()] == measured


@pytest.mark.parametrize("kept", [4096, 64, None])
def test_a_resumed_run_evaluates_on_the_same_tokens(long_book, tmp_path, kept):
    """What was decided stands in the checkpoint; an older one, which lacks it, is read as well."""
    first = Trainer(long_book, **QUICK)
    next(first.steps())
    save_checkpoint(first, tmp_path / "last")
    numbers = json.loads((tmp_path / "last" / "trainer.json").read_text())
    assert numbers["eval_tokens"] == first.evaluations.tokens
    numbers["eval_tokens"] = kept
    if kept is None:
        del numbers["eval_tokens"]
    (tmp_path / "last" / "trainer.json").write_text(json.dumps(numbers))
    second = Trainer(long_book, **QUICK)
    load_checkpoint(second, tmp_path / "last")
    next(second.steps())
    assert second.evaluations.tokens == kept or kept is None and second.evaluations.tokens
    assert len([note for note in second.notes if "tokens to measure on" in note]) == 1


@pytest.mark.slow
def test_ten_evaluations_on_the_clock(long_book):
    """A run by the clock evaluates at each tenth of it, however dear that is."""
    trainer = Trainer(long_book, preset="nano", minutes=0.15, sample_tokens=60, tokenizer="char")
    at = [m.progress for m in trainer.steps() if m.val_loss is not None]
    assert len(at) == 10
    assert all(abs(moment - tenth / 10) < 0.09 for tenth, moment in enumerate(at, 1))


def test_samples_are_a_part_of_the_twentieth():
    """However long a token takes: but for a few tokens, samples and evaluations keep to it."""
    limited: list[dict[str, Any]] = [
        dict(max_steps=20),
        dict(minutes=0.2),
        dict(minutes=60, eval_interval=50),
    ]
    for limits in limited:
        config = build_train({"preset": "tiny", "corpus": "x"} | limits)
        for step in (0.001, 0.1, 30.0):
            seconds = min(
                limits.get("max_steps", math.inf) * step, 60 * limits.get("minutes", math.inf)
            )
            interval = limits.get("eval_interval")
            times = max(seconds / step / interval if interval else EVALUATIONS, 1)
            for token in (1e-5, 1e-3, 0.1):
                sampled = sample_token_count(config, 10**6, step, token)
                measured = eval_token_count(config, 4_100_000, 10**6, 64, step, token / 100)
                assert min_sample_tokens(10**6) == 40 <= sampled <= config.sample_tokens == 120
                assert sampled == 40 or sampled * token * times <= 0.2 * EVAL_SHARE * seconds
                looked = sampled * token + measured * token / 100
                assert (
                    sampled == 40
                    or measured <= min_eval_tokens(10**6)
                    or (looked * times <= EVAL_SHARE * seconds)
                )
    assert min_sample_tokens(124 * 10**6) == 8


def test_only_the_last_sample_of_a_short_run_is_whole(long_book, tmp_path):
    """What was decided stands in the checkpoint and holds for the run that goes on."""
    settings = QUICK | dict(sample_tokens=100, max_steps=10)
    first = Trainer(long_book, **settings)
    asked, sample = [], first.sample

    def noting(tokens=None):
        asked.append(tokens)
        return sample(tokens)

    first.sample = noting
    samples = [m.sample for m in first.steps()]
    length = first.evaluations.sample_tokens
    assert 40 <= length < 100 and asked[-10:] == [length] * 9 + [None]
    assert 80 < len(samples[-1]) <= 100 and all(0 < len(text) <= length for text in samples[:-1])
    save_checkpoint(first, tmp_path / "last")
    second = Trainer(long_book, **settings)
    load_checkpoint(second, tmp_path / "last")
    assert second.evaluations.sample_tokens == length
