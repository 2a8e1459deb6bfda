"""Real worker processes, steered through the run folder alone."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.store.jsonl import read_rows
from tuillm.store.registry import list_models
from tuillm.store.run_folder import metric_rows
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run, start_run

STEPS = 250
_undisturbed = {}


@pytest.fixture(autouse=True)
def no_worker_left():
    """Workers are gone when a test is over, those of a failed test too."""
    yield
    for worker in processes._started:
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def config(book, **settings):
    quick = dict(
        corpus=str(book),
        preset="nano",
        tokenizer="char",
        max_steps=STEPS,
        dtype="float32",
        eval_interval=100,
        sample_tokens=4,
    )
    return build_train(quick | settings)


def wait_for(run, condition, what):
    """Wait until a condition holds; a failed worker's log is shown."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came: {run.status()}"
        assert run.status().state != "failed", run.log.read_text()
        time.sleep(0.01)


def wait_for_steps(run, count):
    wait_for(run, lambda: len(read_rows(run.metrics)[0]) >= count, f"step {count}")


def wait_for_end(run):
    wait_for(run, lambda: run.status().state not in ACTIVE, "the end")
    return run.status()


def losses(run):
    return [(row["step"], row["train_loss"], row.get("val_loss")) for row in metric_rows(run)]


@pytest.fixture
def undisturbed(book):
    """The losses of a run that nobody steers, by settings; trained once."""

    def train(**settings):
        key = str(settings)
        if key not in _undisturbed:
            trainer = Trainer(config=config(book, **settings))
            rows = [metrics.row() for metrics in trainer.steps()]
            _undisturbed[key] = [
                (row["step"], row["train_loss"], row.get("val_loss")) for row in rows
            ]
        return _undisturbed[key]

    return train


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_stop_and_resume(book, undisturbed, dropout):
    """A run that is stopped publishes what it has; resumed, its losses are the undisturbed ones."""
    run = start_run(config(book, dropout=dropout))
    wait_for_steps(run, 20)
    run.request("stop")
    stopped = wait_for_end(run)
    assert stopped.state == "stopped" and 20 <= stopped.step < STEPS
    assert [model.name for model in list_models()] == ["book"]
    assert len(losses(run)) == stopped.step
    resume_run(run)
    assert wait_for_end(run).state == "finished"
    assert losses(run) == undisturbed(dropout=dropout)


@pytest.mark.slow
def test_pause_and_resume(book, undisturbed):
    """A paused run waits with its checkpoint on disk, and goes on as if nothing had been."""
    run = start_run(config(book, dropout=0.2))
    wait_for_steps(run, 20)
    run.request("pause")
    wait_for(run, lambda: run.status().state == "paused", "the pause")
    paused, begin = run.status(), time.monotonic()
    assert paused.step == len(losses(run)) and (run.last / "trainer.json").exists()
    wait_for(run, lambda: run.status().heartbeat > paused.heartbeat, "a heartbeat")
    idle = time.monotonic() - begin
    assert paused.step == len(losses(run))
    run.request("resume")
    finished = wait_for_end(run)
    assert finished.state == "finished"
    assert losses(run) == undisturbed(dropout=0.2)
    worked = finished.heartbeat - finished.created - idle
    assert paused.elapsed < finished.elapsed < worked


@pytest.mark.slow
def test_killed_worker(book, undisturbed):
    """A run whose worker was killed is lost, and resumes from its last checkpoint."""
    run = start_run(config(book, dropout=0.2))
    wait_for_steps(run, 20)
    run.request("pause")  # a pause saves a checkpoint
    wait_for(run, lambda: run.status().state == "paused", "the pause")
    saved = run.status().step
    run.request("resume")
    wait_for_steps(run, saved + 10)
    os.kill(run.status().pid, signal.SIGKILL)
    assert wait_for_end(run).state == "lost"
    assert list_models() == []
    resume_run(run)
    assert wait_for_end(run).state == "finished"
    rows = read_rows(run.metrics)[0]
    assert [row["resumed"] for row in rows if "step" not in row] == [saved]
    steps = [row["step"] for row in rows if "step" in row]
    assert len(steps) > STEPS and steps.count(saved) == 1 and steps.count(saved + 1) == 2
    assert losses(run) == undisturbed(dropout=0.2)


@pytest.mark.slow
def test_killed_before_the_first_checkpoint(book):
    """A lost run without a checkpoint begins anew, and what it had measured no longer counts."""
    run = start_run(config(book, max_steps=100_000))
    wait_for_steps(run, 1)
    os.kill(run.status().pid, signal.SIGKILL)
    assert wait_for_end(run).state == "lost"
    lines = len(read_rows(run.metrics)[0])
    assert resume_run(run) == 0
    wait_for_steps(run, lines + 2)
    run.request("stop")
    assert wait_for_end(run).state == "stopped"
    steps = [row["step"] for row in metric_rows(run)]
    assert steps == list(range(1, len(steps) + 1)) and steps[-1] == run.status().step


def test_worker_that_fails(book):
    """A worker that cannot read its corpus leaves the reason in status, and no traceback."""
    settings = config(book)
    book.unlink()
    run = start_run(settings)
    deadline = time.monotonic() + 60
    while run.status().state in ACTIVE and time.monotonic() < deadline:
        time.sleep(0.01)
    status = run.status()
    assert status.state == "failed" and "book.txt does not exist" in status.error
    assert status.hint and status.eta is None
    assert "does not exist" in run.log.read_text() and "Traceback" not in run.log.read_text()
    assert list_models() == []


@pytest.mark.slow
@pytest.mark.parametrize("replace", [False, True])
def test_worker_whose_name_was_taken(book, model, replace):
    """A finished run never overwrites a model unasked: it takes a free name and tells it."""
    run = start_run(config(book, max_steps=5), replace=replace)
    status = wait_for_end(run)
    names = ["book"] if replace else ["book", "book-2"]
    assert (status.state, status.model) == ("finished", names[-1])
    assert [found.name for found in list_models()] == names
    assert [found.card.run for found in list_models()][-1] == run.id


@pytest.mark.slow
def test_terminated_worker(book):
    """SIGTERM ends a run in order: checkpoint saved, model published, state stopped."""
    run = start_run(config(book, max_steps=100_000))
    wait_for_steps(run, 5)
    os.kill(run.status().pid, signal.SIGTERM)
    status = wait_for_end(run)
    assert (status.state, status.model) == ("stopped", "book")
    (model,) = list_models()
    assert model.card.steps == status.step and model.card.val_loss == status.val_loss
    assert model.card.bits_per_byte


def test_requests_for_a_look(book):
    """Asked for an evaluation and a sample before it has begun, the worker gives both at once."""
    run = start_run(config(book, max_steps=10, eval_interval=1000))
    run.request("eval")
    run.request("sample")
    assert wait_for_end(run).state == "finished"
    assert [step for step, _, val_loss in losses(run) if val_loss is not None] == [1, 10]
    assert [row["step"] for row in read_rows(run.samples)[0]] == [0, 1, 10]


@pytest.mark.slow
def test_no_line_of_control_ends_a_worker(book):
    """Lines nested without end, numbers without end, wrong types: the run goes on to its end."""
    run = start_run(config(book, max_steps=20))
    lines = [
        '{"a":' * 1000 + "1" + "}" * 1000,
        '{"request": "extend", "steps": 1%s}' % ("0" * 400),
        '{"request": "extend", "steps": %s}' % ("9" * 5000),
        "\udcff",
        '{"request": "extend", "steps": 3.0}',
        '{"request": "extend", "steps": true}',
    ]
    with run.control.open("a", encoding="utf-8", errors="surrogateescape") as control:
        control.write("\n".join([*lines, ""]))
    run.request("extend", steps=10)
    status = wait_for_end(run)
    assert (status.state, status.step, status.extended_steps) == ("finished", 30, 10)


@pytest.mark.parametrize("asked, expected", [(None, 19), ("7", 7), ("0", 0), ("often", 19)])
def test_a_worker_gives_way(book, monkeypatch, asked, expected):
    """All threads of a worker have the lowest priority, or the one that TUILLM_NICE asks for."""
    if asked is None:
        monkeypatch.delenv("TUILLM_NICE")
    else:
        monkeypatch.setenv("TUILLM_NICE", asked)
    run = start_run(config(book))
    process = processes._started[-1]
    own = os.getpriority(os.PRIO_PROCESS, 0)
    found = {
        os.getpriority(os.PRIO_PROCESS, thread.id)
        for thread in psutil.Process(process.pid).threads()
    }
    assert found == {max(expected, own)}
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.exists():  # Linux shares the processor among sessions before it looks at processes
        assert group.read_text().split()[-1] == str(expected)
    process.kill()
    assert run.status()
