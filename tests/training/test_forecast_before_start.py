"""What a run will take is told before it starts: facts first, then the speed of real steps."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product

import pytest
import torch

from tuillm import Trainer
from tuillm.config import PRESETS, build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.model import GPT
from tuillm.store.registry import get_model, shape_of
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.forecast.process import forecast, look, probe
from tuillm.training.forecast.run_time import plan
from tuillm.training.forecast.warnings import cautions

pytestmark = pytest.mark.slow

WELL = Forecast(
    train_tokens=1_000_000,
    val_tokens=100_000,
    block_size=64,
    parameters=900_000,
    dropout=0.0,
    epochs=3.0,
    disk_needed=10**8,
    disk_free=10**11,
    memory_needed=10**9,
    memory_available=10**10,
    memory=dict(activations=9, logits=1, weights=3, gradients=1, optimizer=1),
)


def nano(book, **settings):
    return build_train(
        dict(corpus=str(book), preset="nano", sample_tokens=4) | settings, {}, shape_of
    )


def in_process(settings, *command):
    """Run a command of Python with a text on stdin; return the finished process."""
    return subprocess.run(
        [sys.executable, *command], input=settings, capture_output=True, text=True, timeout=120
    )


def forecast_lines(settings):
    done = in_process(settings, "-m", "tuillm.training.forecast.process")
    return done, [json.loads(line) for line in done.stdout.splitlines()]


SHAPES = [(name, tied, bias) for name, tied, bias in product(PRESETS, (True, False), (True, False))]


@pytest.mark.parametrize("name, tied, bias", SHAPES)
def test_parameters_are_counted_without_a_model(name, tied, bias):
    """The formula equals the sum over a real model's tensors for every preset, tied or not."""
    config = build_train({"preset": name})
    shape = GPTConfig(
        1000,
        config.block_size,
        config.n_layer,
        config.n_head,
        config.n_embd,
        bias=bias,
        tie_weights=tied,
    )
    with torch.device("meta"):
        assert shape.parameter_count == GPT(shape).parameter_count


def test_facts_come_before_torch(book):
    """The first forecast stands while torch is not imported yet."""
    code = (
        "import sys; from itertools import islice; from tuillm.config import TrainConfig\n"
        "from tuillm.training.forecast.process import forecast\n"
        "_, first, *_ = islice(forecast(TrainConfig.model_validate_json(sys.stdin.read())), 2)\n"
        "print(first.parameters, 'torch' in sys.modules)"
    )
    done = in_process(nano(book).model_dump_json(), "-c", code)
    assert done.stdout.split()[1:] == ["False"] and int(done.stdout.split()[0]) > 10_000


def test_lines_hold_what_the_trainer_then_does(book):
    """The command prints three lines, the later knows all of the former; the run confirms them."""
    config = nano(book, max_steps=40)
    done, (first, text, speed) = forecast_lines(config.model_dump_json())
    assert done.returncode == 0 and done.stderr == ""
    assert [each["stage"] for each in (first, text, speed)] == ["preview", "text", "speed"]
    assert first["preview"] == text["preview"] == speed["preview"] and first["bytes"] is None
    trainer = Trainer(config=config)
    trainer.prepare()
    assert text["train_tokens"] == len(trainer.tokens.train)
    assert text["val_tokens"] == len(trainer.tokens.val)
    assert text["parameters"] == trainer.model.parameter_count
    assert text["vocab_size"] == trainer.tokenizer.n_vocab
    assert text["notes"] == trainer.notes and text["bytes"] == trainer.setup.corpus.bytes
    assert text["memory_needed"] == sum(text["memory"].values()) < text["memory_available"]
    assert text["tokens_per_sec"] is None and speed["tokens_per_sec"] > 0
    assert speed["device"] == str(trainer.setup.device) and not speed["estimated"]
    assert speed["steps"] == 40 and speed["seconds"] > 40 * speed["step_seconds"]
    last = list(trainer.steps())[-1]
    assert speed["epochs"] == text["epochs"] == pytest.approx(last.epoch)
    same = {key for key in text if text[key] == speed[key]}
    assert {"bytes", "disk_needed", "dropout", "steps_per_epoch"} <= same
    # the precision is known then
    assert speed["memory_needed"] == sum(speed["memory"].values()) <= text["memory_needed"]


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_memory_is_estimated_within_a_factor(book, name):
    """A run's growth over a lesser one's memory is within 2.5 times what the estimate says."""
    code = (
        "import json, resource, sys, psutil; from tuillm import Trainer, TrainConfig\n"
        "from tuillm.training.forecast.throughput import step_seconds\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "for line in sys.stdin:\n"
        "    before = psutil.Process().memory_info().rss\n"
        "    trainer = Trainer(config=TrainConfig(**json.loads(line)))\n"
        "    step_seconds(trainer, 0.01); trainer.evaluate(); trainer.sample()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)"
    )
    config = build_train(dict(corpus=str(book), preset=name, sample_tokens=4))
    seen = look(config)
    lesser = nano(book, n_layer=1)  # with the libraries and their kernels
    done = in_process(f"{lesser.model_dump_json()}\n{config.model_dump_json()}\n", "-c", code)
    estimate = seen.memory_needed - seen.memory["program"]
    assert 1 / 2.5 < int(done.stdout) / estimate < 2.5, done.stderr


@pytest.mark.parametrize(
    "settings, wanted",
    [
        ('{"corpus": ["nowhere.txt"], "max_steps": 3}', "nowhere.txt does not exist"),
        ('{"max_steps": 3}', "no text was named"),
        ('{"max_steps": -3}', "these are no settings of a run"),
        ("not JSON", "these are no settings of a run"),
    ],
)
def test_errors_are_one_line(settings, wanted):
    """What would stop the run is one JSON line with a hint, and never a traceback."""
    done, (line,) = forecast_lines(settings)
    assert done.returncode == 1 and done.stderr == ""
    assert line.keys() == {"error", "hint"} and wanted in line["error"]


def test_nothing_is_downloaded():
    """An address that is not in the cache is left to the run, and the forecast says so."""
    url = "http://127.0.0.1:9/book.txt"
    (seen,) = forecast(build_train({"corpus": url}))
    assert seen.skipped == f"{url} will be downloaded when the run starts"
    assert seen.bytes is None and seen.memory_available and seen.disk_free


def test_gpt2_is_sized_without_its_vocabulary(book):
    """GPT-2's vocabulary is not fetched either; parameters and memory are known without it."""
    _, seen = forecast(build_train({"corpus": book, "preset": "gpt2"}))
    assert "GPT-2's vocabulary will be downloaded" in seen.skipped
    assert (seen.parameters, seen.train_tokens) == (124_439_808, None)
    assert seen.memory_needed > 22 * seen.parameters


def test_a_model_to_start_from_gives_shape_and_tokenizer(model, book):
    """With init_from, size and tokens are those of that model."""
    config = build_train({"corpus": str(book), "init_from": model, "max_steps": 5}, {}, shape_of)
    _, seen, measured = forecast(config)
    assert seen.parameters == get_model(model).card.parameters
    assert (seen.tokenizer, seen.block_size) == ("bpe", 32)
    assert measured.tokens_per_sec > 0 and measured.steps == 5
    with pytest.raises(TuillmError, match="no model named"):
        look(config.model_copy(update={"init_from": "nobody"}))


def test_what_does_not_fit_is_not_tried(book):
    """A model larger than the memory is told of, with what to lower, and no step is taken."""
    huge = nano(book, n_layer=96, n_embd=12_288, n_head=96)
    _, seen = forecast(huge)
    assert seen.skipped in seen.warnings
    assert "try a smaller n_embd (12288) or n_layer (96)" in seen.skipped


def test_of_a_long_step_a_part_is_measured(book):
    """A batch of thousands is told from a few windows; tokens and seconds fit together."""
    config = nano(book, batch_size=20_000, n_layer=4, n_embd=256, grad_accum_steps=4)
    measured = probe(config, replace(look(config), skipped=""))
    assert not measured.estimated and measured.step_seconds > 1
    assert measured.tokens_per_sec == pytest.approx(
        measured.tokens_per_step / measured.step_seconds
    )


def test_steps_that_take_minutes_are_estimated(book, monkeypatch):
    """Where even a few tokens would: the speed of matrix products stands in."""
    monkeypatch.setattr("tuillm.training.hardware.matmul_flops", lambda device, dtype: 1e6)
    measured = probe(nano(book), replace(look(nano(book)), skipped=""))
    assert measured.estimated and measured.step_seconds > 60


@pytest.mark.parametrize(
    "limits, wanted",
    [
        (dict(max_steps=100), (100, 100 * 0.5 + 10 * 2)),
        (dict(max_steps=100, eval_interval=30), (100, 100 * 0.5 + 4 * 2)),
        (dict(minutes=10), (int((600 - 20) / 0.5), 600)),
        (dict(minutes=1), (int((60 - 20) / 0.5), 60)),
        (dict(minutes=10, eval_interval=4), (600, 600)),
        (dict(minutes=10, max_steps=50), (50, 50 * 0.5 + 10 * 2)),
        (dict(minutes=0.001), (1, 0.06)),
    ],
)
def test_steps_and_seconds_of_a_run(limits, wanted):
    """Half a second a step and two an evaluation: the earlier limit ends the run."""
    config = build_train({"preset": "nano"} | limits)
    assert plan(config, 0.5, 2.0) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "known, words",
    [
        (
            dict(memory_available=10**8),
            "needs about 1 GB of memory and 100 MB are free: "
            "try a lower batch_size (32) or block_size (64)",
        ),
        (dict(disk_free=10**8), "the disk has 100 MB left, and the run writes up to 100 MB"),
        (dict(block_size=20, train_tokens=80), "the model sees only 20 at once, not 64"),
        (
            dict(val_tokens=900),
            "only 900 tokens are held out: losses measured on them are sure to about 0.08 nats",
        ),
        (dict(val_tokens=0), "the text is too short to hold out a part"),
        (
            dict(train_tokens=80_000, epochs=40.0),
            "900k parameters will see 80k tokens about 40 times "
            "with dropout 0: after some 10 times",
        ),
    ],
)
def test_cautions_name_the_numbers(known, words):
    """What speaks against a start is a sentence each; where nothing does, there is none."""
    config = build_train({"preset": "tiny", "token_dropout": 0.0})
    assert cautions(config, WELL) == cautions(config, Forecast()) == ()
    (said,) = cautions(config, replace(WELL, **known))
    assert words in said


@pytest.mark.parametrize(
    "settings, known",
    [
        (dict(patience=3), {}),
        (dict(val_fraction=0.0), dict(val_tokens=0)),
        ({}, dict(dropout=0.3)),
        ({}, dict(parameters=50_000)),
    ],
)
def test_no_caution_where_repetition_is_meant_or_guarded(settings, known):
    """Early stopping, learning by heart, much dropout and a small model may see a text often."""
    often = replace(WELL, train_tokens=80_000, epochs=39.0, **known)
    assert cautions(build_train({"preset": "tiny"} | settings), often) == ()
