"""A run that is asked to end saves, measures where it stands, and publishes the best of it."""

import os
import signal
import time
from typing import Any

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.store.files import read_json
from tuillm.store.jsonl import read_rows
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run, start_run
from tuillm.training.evaluate import evaluate
from tuillm.training.runner import Runner

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=40, sample_tokens=0, dtype="float32"
)


def train(run, *, resume=False, stop_at=0, stops=1):
    """Run a run in this process, asking it to stop after a step."""
    if resume:
        run.control.unlink(missing_ok=True)  # as whoever resumes a run does

    def tell(metrics):
        if metrics.step == stop_at:
            for _ in range(stops):
                run.request("stop")

    trainer = Trainer(config=run.config)
    with run.take():
        Runner(trainer, run, resume=resume, tell=tell).run()
    return run.status()


def losses(run):
    return [(row["step"], row["train_loss"], row.get("val_loss")) for row in metric_rows(run)]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def run(book):
    return create_run(
        build_train({"corpus": str(book)} | QUICK | dict(eval_interval=10)), this_process()
    )


def test_what_was_learned_since_the_last_evaluation_is_published(book, run):
    """It is measured at the stop, and better than the best before it."""
    status = train(run, stop_at=17)
    assert (status.state, status.step, status.best_step) == ("stopped", 17, 17)
    model, rows = get_model("book"), losses(run)
    assert model.card.steps == 17 and model.card.val_loss == status.val_loss < rows[9][2]
    assert weights(model.path) == weights(run.last) != weights(run.best)


def test_a_run_that_goes_on_knows_nothing_of_that(book, run):
    """Its losses, its best and its weights are those of a run that was never stopped."""
    undisturbed = create_run(run.config.model_copy(update={"name": "other"}), this_process())
    train(undisturbed)
    train(run, stop_at=17)
    train(run, resume=True, stop_at=18)
    assert get_model("book").card.steps == 18
    status = train(run, resume=True)
    assert status.state == "finished" and losses(run) == losses(undisturbed)
    assert status.best_step == undisturbed.status().best_step
    assert weights(get_model("book").path) == weights(get_model("other").path)
    assert weights(run.last) == weights(undisturbed.last)
    different = {"elapsed"}
    ours, theirs = read_json(run.checkpoint), read_json(undisturbed.checkpoint)
    assert {key for key in ours if ours[key] != theirs[key]} <= different


def test_a_model_that_has_become_worse_is_not_published(book, run, monkeypatch):
    """The best stays the best."""
    monkeypatch.setattr(
        "tuillm.training.compute.evaluate", lambda *given, **more: worse(evaluate(*given, **more))
    )
    called = 0

    def worse(evaluation):
        nonlocal called
        called += 1
        return type(evaluation)(evaluation.val_loss + called, evaluation.bits_per_byte + called)

    status = train(run, stop_at=17)
    assert (status.step, status.best_step) == (17, 10)
    assert weights(get_model("book").path) == weights(run.best) and called == 2


def test_who_asks_twice_does_not_wait_for_a_measurement(book, run):
    """The best so far is published as it is."""
    status = train(run, stop_at=17, stops=2)
    assert (status.state, status.step, status.best_step) == ("stopped", 17, 10)
    assert get_model("book").card.steps == 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_a_run_in_order_within_seconds(book, number):
    """`tiny`, saved and published within five seconds; resumed, the losses are the same."""
    tiny = dict(preset="tiny", max_steps=60, sample_tokens=0, dtype="float32", eval_interval=50)
    config = build_train({"corpus": str(book)} | tiny)
    run = start_run(config)
    end = time.monotonic() + 120

    def until(condition):
        while not condition():
            assert time.monotonic() < end, run.log.read_text()
            time.sleep(0.01)

    until(lambda: len(read_rows(run.metrics)[0]) >= 5)
    os.kill(run.status().pid, number)
    asked = time.monotonic()
    until(lambda: run.status().state not in ACTIVE)
    took = time.monotonic() - asked
    assert run.status().state == "stopped" and took < 5, took
    assert get_model("book").card.steps == run.status().step
    for worker in processes._started:
        worker.wait(20)
    resume_run(run)
    until(lambda: run.status().state not in ACTIVE)
    for worker in processes._started:
        worker.wait(20)
    undisturbed = Trainer(config=config)
    expected = [(m.step, round(m.train_loss, 6)) for m in undisturbed.steps()]
    assert [(row["step"], row["train_loss"]) for row in metric_rows(run)] == expected
