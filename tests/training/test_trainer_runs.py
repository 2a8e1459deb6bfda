"""Trainer in this process: the same seed the same run, how runs end, and what they publish."""

import json
import resource
import time
from typing import Any

import numpy as np
import pytest
import torch

from tuillm import Sampler, TrainConfig, Trainer, __version__
from tuillm.config import settings_of
from tuillm.errors import TuillmError, UsageError
from tuillm.model import read_model
from tuillm.store.card import ModelCard
from tuillm.store.registry import get_model, list_models, publish
from tuillm.store.run_folder import get_run, list_runs, metric_rows
from tuillm.training.checkpoint import copy_model_files, load_checkpoint, save_checkpoint
from tuillm.training.evaluate import evaluate
from tuillm.training.schedule import lr_factor

QUICK: dict[str, Any] = dict(preset="nano", max_steps=12, sample_tokens=8, tokenizer="char")


def steps_of(trainer):
    return list(trainer.steps())


def history(metrics):
    """What must not depend on the clock."""
    return [(m.step, m.train_loss, m.val_loss, m.grad_norm, m.lr, m.sample) for m in metrics]


@pytest.mark.parametrize(
    "settings",
    [{}, {"dtype": "float32", "dropout": 0.2}, {"optimizer": "adamw", "positions": "random"}],
    ids=str,
)
def test_same_seed_same_run(book, settings):
    """The same seed and max_steps give the very same losses and samples, twice."""
    first, second = (history(steps_of(Trainer(book, **QUICK, **settings))) for _ in range(2))
    assert first == second
    assert any(row[-1] for row in first)


def test_same_seed_same_run_on_two_threads(book):
    """Two threads share the work the same way each time."""
    torch.set_num_threads(2)
    settings = QUICK | dict(max_steps=3)
    first, second = (history(steps_of(Trainer(book, **settings))) for _ in range(2))
    assert first == second


def test_other_seed_other_run(book):
    """Another seed gives other losses from the first step on."""
    first, second = (steps_of(Trainer(book, **QUICK, seed=seed)) for seed in (1, 2))
    assert first[0].train_loss != second[0].train_loss


@pytest.mark.everyday(3)
@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.0},
        {"dropout": 0.2},
        {"bias": True, "tie_weights": False},
        {"optimizer": "adamw", "positions": "none", "grad_accum_steps": 2},
        {"dtype": "auto"},
        {"ema": 0.2, "token_dropout": 0.1},
    ],
    ids=str,
)
def test_checkpoint_goes_on_exactly(book, tmp_path, settings):
    """A trainer that loads a checkpoint takes the very steps the first would have taken."""
    settings = QUICK | {"dtype": "float32", "eval_interval": 3} | settings
    undisturbed = history(steps_of(Trainer(book, **settings)))
    first, found = Trainer(book, **settings), []
    for metrics in first.steps():
        found.append(metrics)
        if metrics.step == 5:
            break
    save_checkpoint(first, tmp_path / "last")
    torch.randn(7)  # whoever goes on is another process with a history of its own
    second = Trainer(book, **settings)
    load_checkpoint(second, tmp_path / "last")
    found += steps_of(second)
    assert history(found) == undisturbed


@pytest.mark.parametrize("file", ["trainer.safetensors", "trainer.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_damaged_checkpoint(book, tmp_path, file, damage):
    """A checkpoint with a torn or missing file is refused in one line."""
    trainer = Trainer(book, **QUICK)
    next(trainer.steps())
    save_checkpoint(trainer, tmp_path / "last")
    path = tmp_path / "last" / file
    path.write_bytes(path.read_bytes()[:-20]) if damage == "torn" else path.unlink()
    with pytest.raises(TuillmError) as caught:
        load_checkpoint(Trainer(book, **QUICK), tmp_path / "last")
    assert str(tmp_path / "last") in str(caught.value) and "\n" not in str(caught.value)


def test_rate_of_each_step(book):
    """Each step reports the rate that the schedule gives for it."""
    trainer = Trainer(book, **QUICK, min_lr=1e-3, schedule="cosine")
    for metrics in trainer.steps():
        expected = lr_factor(trainer.config, metrics.step - 1, (metrics.step - 1) / 12)
        assert metrics.lr == pytest.approx(trainer.config.learning_rate * expected)


def test_gradient_accumulation_is_a_larger_batch(book):
    """Two forward passes of four sequences are one of eight."""
    settings = QUICK | dict(dtype="float32", optimizer="adamw", learning_rate=3e-3)
    large = steps_of(Trainer(book, **settings | dict(batch_size=8)))
    small = steps_of(Trainer(book, **settings | dict(batch_size=4, grad_accum_steps=2)))
    for a, b in zip(large, small, strict=True):
        assert (a.train_loss, a.grad_norm) == pytest.approx((b.train_loss, b.grad_norm), rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_steps": 40}, [*range(4, 41, 4)]),
        ({"eval_interval": 5}, [5, 10, 12]),
        ({"max_steps": 3}, [1, 2, 3]),
    ],
    ids=str,
)
def test_when_it_evaluates(book, settings, expected):
    """Evaluates every eval_interval steps, else ten times a run, and always at the end."""
    metrics = steps_of(Trainer(book, **QUICK | settings))
    assert [m.step for m in metrics if m.val_loss is not None] == expected
    assert all((m.sample is None) == (m.val_loss is None) for m in metrics)


def test_best_is_the_lowest_so_far(book):
    """`best` marks each evaluation below all before it, and only the last step ends the run."""
    metrics = steps_of(Trainer(book, **QUICK | dict(max_steps=30, eval_interval=1)))
    losses = [m.val_loss for m in metrics]
    assert [m.best for m in metrics] == [
        loss < min([*losses[:place], 1e9]) for place, loss in enumerate(losses)
    ]
    assert [m.last for m in metrics] == [""] * 29 + ["finished"]


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["random", "sinusoid"])
def test_training_learns(book, positions):
    """Some hundred steps get well below a model that only counts characters."""
    trainer = Trainer(book, **QUICK | dict(max_steps=300, positions=positions))
    metrics = steps_of(trainer)
    counts = np.bincount(trainer.tokens.train)
    shares = counts[counts > 0] / counts.sum()
    assert metrics[-1].val_loss < 0.9 * -(shares * np.log(shares)).sum()


def test_patience(book):
    """Evaluations without gain end the run, and the best checkpoint is what is published."""
    trainer = Trainer(
        book,
        name="tired",
        preset="nano",
        optimizer="adamw",
        learning_rate=1,
        warmup_steps=0,
        weight_decay=0,
        eval_interval=1,
        patience=2,
        max_steps=60,
        sample_tokens=0,
    )
    model = trainer.run()
    rows = list(metric_rows(get_run("tired-1")))
    losses = [row["val_loss"] for row in rows]
    assert len(rows) < 60 and min(losses) == losses[-3]
    assert get_run("tired-1").status().state == "finished"
    assert model.card.steps == rows[-3]["step"]
    tokens = trainer.tokens
    again = evaluate(read_model(model.path), tokens.val, tokens.val_bytes, tokens.tokenizer)
    assert again.val_loss == pytest.approx(model.card.val_loss, rel=1e-5)
    assert again.val_loss == pytest.approx(min(losses), rel=1e-5)


def test_published_model(book):
    """A run publishes a model whose card tells where it is from and how good it is."""
    before = time.time()
    trainer = Trainer(book, **QUICK, name="kafka")
    model = trainer.run()
    run, card = get_run("kafka-1"), model.card
    last = list(metric_rows(run))[-1]
    assert model.name == "kafka" and model.problem == "" and list_models() == [model]
    assert (card.origin, card.run, card.corpus, card.mode) == (
        "trained",
        "kafka-1",
        "book.txt",
        "completion",
    )
    assert card.corpus_bytes == len(book.read_bytes()) and len(card.corpus_sha256) == 64
    assert (card.tokenizer, card.steps, card.tuillm_version) == ("char", 12, __version__)
    assert card.parameters == read_model(model.path).parameter_count
    assert card.val_loss == pytest.approx(last["val_loss"], abs=1e-6)
    assert card.bits_per_byte == pytest.approx(last["bits_per_byte"], abs=1e-6)
    assert before < card.created < time.time()
    assert Sampler("kafka").generate("The ", max_new_tokens=5, seed=1)
    assert not list(model.path.glob("trainer.*"))


def test_run_folder_of_a_run(book):
    """A run in this process leaves the same folder that a worker's would."""
    Trainer(book, **QUICK).run()
    run = get_run("book-1")
    status, rows = run.status(), list(metric_rows(run))
    assert (status.state, status.model, status.step, status.best_step) == (
        "finished",
        "book",
        12,
        12,
    )
    assert [row["step"] for row in rows] == [*range(1, 13)]
    # with the end of text before the first character
    assert status.train_tokens == 27_001 and status.val_tokens == 3_000
    assert status.parameters == get_model("book").card.parameters
    samples = [json.loads(line) for line in run.samples.read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [
        row["step"] for row in rows if "val_loss" in row
    ]
    assert run.config.max_steps == 12 and (run.last / "trainer.json").exists()


def test_taken_name(book):
    """A taken name is refused before anything is trained; `replace` publishes over it."""
    first = Trainer(book, **QUICK).run()
    with pytest.raises(TuillmError, match="'book' already exists") as caught:
        Trainer(book, **QUICK).run()
    assert "replace=True" in caught.value.hint
    assert len(list_runs()) == 1
    second = Trainer(book, **QUICK, seed=5).run(replace=True)
    assert second.path == first.path and second.card.run == "book-2"
    assert [model.name for model in list_models()] == ["book"]


def test_a_name_taken_while_the_model_is_published(book, monkeypatch):
    """Who took the name first keeps it; the run's own model gets a free one, and a note says so."""

    def copy_late(source, folder):
        if not list_models():
            with publish("book", ModelCard(corpus="another")) as other:
                copy_model_files(source, other)
        copy_model_files(source, folder)

    monkeypatch.setattr("tuillm.training.publish.copy_model_files", copy_late)
    model = Trainer(book, **QUICK).run()
    assert (model.name, get_model("book").card.corpus) == ("book-2", "another")
    (note,) = [note for note in get_run("book-1").status().notes if "was kept" in note]
    assert note.endswith("this one is 'book-2'")


@pytest.mark.everyday(2)
@pytest.mark.parametrize("length", [3, 4, 9, 40, 100])
def test_short_text_shrinks_the_context(tmp_path, length):
    """A text too short for its context shrinks block_size, says so, and gives a model."""
    path = tmp_path / "short.txt"
    path.write_text(("to be or not to be, " * 6)[:length])
    trainer = Trainer(path, **QUICK)
    model = trainer.run()
    (note,) = [note for note in get_run("short-1").status().notes if "block_size" in note]
    fitting = model.config["n_positions"]
    assert note.endswith(f"shrinks from 32 to {fitting}")
    assert 1 <= fitting < 32
    assert isinstance(Sampler("short").generate("to", max_new_tokens=50, seed=1), str)


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_nothing_held_out(book, fraction):
    """With val_fraction 0 the losses are of the training text, and a note says so."""
    Trainer(book, **QUICK, val_fraction=fraction).run()
    status = get_run("book-1").status()
    assert any("nothing is held out" in note for note in status.notes) == (fraction == 0)
    assert status.val_tokens == round(fraction * 30_000)


def test_positions_none_stay_zero(book):
    """A bigram baseline knows no positions, before training and after it."""
    model = Trainer(book, preset="bigram", max_steps=30, sample_tokens=0).run()
    weights = read_model(model.path)
    assert weights.config.n_layer == 0 and not weights.config.tie_weights
    assert not weights.wpe.weight.any()
    assert model.card.val_loss < 3.2


@pytest.mark.parametrize(
    "settings",
    [
        {"muon_lr": 1, "muon_weight_decay": 10},
        {"optimizer": "adamw", "learning_rate": 1, "weight_decay": 10},
    ],
    ids=str,
)
def test_loss_that_is_no_number(book, capsys, settings):
    """A run that diverges fails in one line that says what to try, and publishes nothing."""
    became = "the (loss|gradients) became (nan|inf) at step"
    with pytest.raises(TuillmError, match=became) as caught:
        Trainer(book, **QUICK | dict(max_steps=300, max_rollbacks=0) | settings).run()
    assert "--learning-rate" in caught.value.hint
    status = get_run("book-1").status()
    assert (status.state, status.error, status.hint) == (
        "failed",
        caught.value.message,
        caught.value.hint,
    )
    assert list_models() == [] and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_embd": 50, "n_head": 3}, "not divisible"),
        ({"n_lyer": 2}, "did you mean 'n_layer'"),
        ({"preset": "nan"}, "did you mean 'nano'"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"max_steps": None}, "max_steps"),
        ({"block_size": 1}, "block_size"),
    ],
    ids=str,
)
def test_bad_settings_of_a_trainer(book, settings, words):
    """Settings that cannot be are refused by name when the trainer is made."""
    with pytest.raises(UsageError, match=words):
        Trainer(book, **QUICK | settings)


def test_a_trainer_takes_a_config_or_settings(book):
    """Settings beside a complete config would be passed over; they are refused."""
    with pytest.raises(UsageError, match="config has all settings already"):
        Trainer(config=TrainConfig(corpus=[str(book)], **QUICK), max_steps=5)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "does not exist"), (b"", "is empty"), (b"\0\1\2" * 50, "binary")]
)
def test_corpus_that_cannot_be_read(tmp_path, content, words):
    """A corpus that is missing, empty or binary is told in one line; no run is left."""
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TuillmError, match=words):
        Trainer(path, **QUICK).run()
    assert list_runs() == []


@pytest.mark.slow
def test_minutes(book):
    """A run by the clock ends when its minutes are over, its rate near zero by then."""
    metrics = steps_of(Trainer(book, preset="nano", minutes=0.05, sample_tokens=4))
    assert 3 <= metrics[-1].elapsed < 10
    assert metrics[-1].lr < 0.1 * max(m.lr for m in metrics)
    assert metrics[-1].last == "finished"
    assert (metrics[-1].progress, metrics[-1].eta) == (1, 0)
    assert [m.progress for m in metrics] == sorted(m.progress for m in metrics)
    half = metrics[len(metrics) // 2]
    assert half.elapsed + half.eta == pytest.approx(3, rel=0.01)


def test_help_config_prints_every_training_setting(capsys):
    """help_config tells of each setting: its name and its sentence."""
    Trainer.help_config()
    printed = capsys.readouterr().out
    for setting in settings_of(TrainConfig):
        assert f"  {setting.name} " in printed and setting.help in printed


def test_a_model_beyond_all_memory_is_refused_before_it_is_built(book):
    """96 layers of 8,192 would be 300 GB: it is told at once, and nothing of it is allocated."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trainer = Trainer(corpus=book, preset="nano", n_layer=96, n_embd=8192, n_head=8)
    with pytest.raises(TuillmError, match="TB of memory"):
        trainer.prepare()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 1_000_000  # kB
