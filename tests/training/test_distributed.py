"""Several processes train one run: the same losses as one, whatever is done to it.

Real workers under torchrun's elastic agent, over gloo, steered through the run folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.config.train_config import TrainConfig
from tuillm.errors import UsageError
from tuillm.store.jsonl import read_rows
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model, shape_of
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run, start_run
from tuillm.training.runner import Runner

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = dict(
    preset="nano",
    tokenizer="char",
    max_steps=30,
    sample_tokens=4,
    dtype="float32",
    batch_size=8,
    eval_interval=10,
)


def config(book, **settings):
    return build_train({"corpus": str(book)} | QUICK | settings, shape_of=shape_of)


def alone(settings, name="alone"):
    """Train in this process alone; return the run."""
    run = create_run(settings.model_copy(update={"nproc": 1, "name": name}), this_process())
    with run.take():
        Runner(Trainer(config=run.config), run).run()
    return run


def until(run, condition, seconds=150):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{run.status()}\n{run.log.read_text()[-3000:]}"
        time.sleep(0.02)


def ended(run):
    """Wait until a run is over and its processes are gone; return its status."""
    until(run, lambda: run.status().state not in ACTIVE)
    for worker in processes._started:
        worker.wait(60)
    return run.status()


def losses(run):
    return {row["step"]: (row["train_loss"], row.get("val_loss")) for row in metric_rows(run)}


def same(run, other, tolerance=1e-5):
    """Whether two runs have the same losses at the same steps."""
    ours, theirs = losses(run), losses(other)
    assert ours.keys() == theirs.keys()
    for step, (train, val) in ours.items():
        assert train == pytest.approx(theirs[step][0], abs=tolerance), step
        assert (val is None) == (theirs[step][1] is None)
        assert val is None or val == pytest.approx(theirs[step][1], abs=tolerance), step


# nanoGPT's rate: at ten times that AdamW, which divides by small gradients, amplifies what order
# sums are taken in
OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "muon"},
    {"optimizer": "adamw", "learning_rate": 1e-3},
]


@pytest.mark.parametrize("nproc", [2, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["muon", "adamw"])
@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_the_losses_are_those_of_one_process(book, nproc, optimizer, shard):
    """Of the same batches, accumulated; the status tells how many there were."""
    several = dict(nproc=nproc, shard=shard, grad_accum_steps=2, batch_size=6)
    settings = config(book, **several, **optimizer)
    run = start_run(settings)
    status = ended(run)
    assert status.state == "finished", run.log.read_text()
    same(run, alone(settings))
    assert status.ranks == nproc and get_model("book").card.steps == 30


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_average_and_token_dropout(book, shard):
    """Each process replaces the same tokens, and averages the same weights, or its part of them."""
    settings = config(book, nproc=2, batch_size=6, ema=0.2, token_dropout=0.2, shard=shard)
    run = start_run(settings)
    assert ended(run).state == "finished", run.log.read_text()
    same(run, alone(settings))


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_with_lora(book, model, shard):
    """Adapters alone are learned and summed."""
    settings = config(
        book,
        init_from=model,
        lora=True,
        nproc=2,
        shard=shard,
        tokenizer="auto",
        preset="finetune",
        dropout=0.0,
    )
    run = start_run(settings.model_copy(update={"max_steps": 12, "name": "tuned"}))
    assert ended(run).state == "finished", run.log.read_text()
    same(run, alone(run.config))


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_answers_alone_weigh_what_they_weigh(tmp_path, shard):
    """Parts of a batch have different numbers of tokens to learn."""
    rows = [{"question": f"Who is {n}?", "answer": "Salt. " * (n % 7 + 1)} for n in range(80)]
    text = tmp_path / "qa.jsonl"
    text.write_text("\n".join(map(json.dumps, rows)))
    settings = config(text, nproc=2, batch_size=5, shard=shard)
    run = start_run(settings)
    assert ended(run).state == "finished", run.log.read_text()
    same(run, alone(settings))


@pytest.mark.parametrize("nproc", [1, 4])
@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_saved_by_two_it_is_resumed_by_another_number(book, nproc, shard):
    """With the losses of a run that one process has trained throughout."""
    settings = config(book, nproc=2, max_steps=60, shard=shard, name="moved", ema=0.1)
    run = start_run(settings)
    until(run, lambda: run.status().step >= 20)
    run.request("stop")
    stopped = ended(run)
    assert stopped.state == "stopped" and 20 <= stopped.step < 60
    resume_run(run, nproc=nproc)
    status = ended(run)
    assert status.state == "finished" and status.ranks == nproc, run.log.read_text()
    same(run, alone(settings))


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
def test_a_text_that_is_measured_before_the_first_step(tmp_path, book_text, shard):
    """How much of a long held-out text is evaluated: by all ranks where they have to."""
    text = tmp_path / "long.txt"
    text.write_text(book_text * 4, encoding="utf-8")
    run = start_run(config(text, nproc=2, shard=shard, sample_tokens=120, name="long"))
    assert ended(run).state == "finished", run.log.read_text()


def others(run):
    """The process numbers of the ranks but the first, and of the first."""
    first = run.status().pid
    agent = psutil.Process(first).parent()
    assert agent is not None
    return [child.pid for child in agent.children() if child.pid != first], first


@pytest.mark.parametrize("which", ["first", "second"])
def test_one_of_two_killed_all_start_again(book, which):
    """From the last checkpoint, without anybody's help; the weights are the undisturbed ones."""
    settings = config(book, nproc=2, max_steps=1500, eval_interval=500, name="killed")
    run = start_run(settings)
    until(run, lambda: run.checkpoint.exists() and run.status().step > 20)
    (second,), first = others(run)
    os.kill(first if which == "first" else second, signal.SIGKILL)
    until(run, lambda: run.status().pid != first and run.status().state == "running")
    until(run, lambda: "resumed at step" in run.log.read_text())
    assert ended(run).state == "finished"
    other = start_run(settings.model_copy(update={"name": "undisturbed"}))
    assert ended(other).state == "finished"
    same(run, other, tolerance=0)
    weights = [(each.last / "model.safetensors").read_bytes() for each in (run, other)]
    assert weights[0] == weights[1]


def test_pause_evaluate_sample_extend_and_stop(book):
    """All that a run can be asked for."""
    run = start_run(config(book, nproc=2, max_steps=100_000, eval_interval=None, name="steered"))
    until(run, lambda: run.status().step >= 10)
    run.request("pause")
    until(run, lambda: run.status().state == "paused")
    step = run.status().step
    run.request("sample")
    until(run, lambda: step in {row.get("step") for row in read_rows(run.samples)[0]})
    run.request("extend", 50)
    until(run, lambda: run.status().extended_steps == 50)
    run.request("eval")
    run.request("resume")
    until(run, lambda: any(val is not None for _, val in losses(run).values()))
    run.request("stop")
    assert ended(run).state == "stopped" and get_model("steered").card.val_loss


def test_a_text_that_is_gone_is_told_once(book):
    """What a person can mend is no reason to start all processes again."""
    settings = config(book, nproc=2, name="gone")
    run = create_run(settings, this_process())
    book.unlink()
    run.write_status(run.status().model_copy(update={"state": "stopped"}))
    resume_run(run)
    status = ended(run)
    assert status.state == "failed" and "does not exist" in str(status.error)
    assert run.log.read_text().count("does not exist") == 1


def test_by_torchrun_as_on_a_cluster(book):
    """`torchrun -m tuillm.training.worker RUN`: rank 0 holds the lock itself."""
    settings = config(book, name="cluster")
    run = create_run(settings, this_process())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "tuillm.training.worker", str(run.path)],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert run.status().state == "finished" and run.status().ranks == 2
    same(run, alone(settings))


def test_a_stopped_run_goes_on_under_torchrun(book):
    """The stop that ended it is not done once more, nor an extension."""
    settings = config(book, max_steps=400, name="cluster")
    run = start_run(settings)
    until(run, lambda: run.status().step >= 10)
    run.request("extend", 5)
    until(run, lambda: run.status().extended_steps == 5)
    run.request("stop")
    assert ended(run).state in ("stopped", "finished")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "tuillm.training.worker", str(run.path), "--resume"],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    status = run.status()
    assert (status.state, status.step, status.extended_steps) == ("finished", 405, 5)


def test_more_processes_than_sequences_are_refused(book):
    """Before anything is started."""
    with pytest.raises(UsageError, match="nproc 9 is more than the sequences of a step"):
        config(book, nproc=9)
    with pytest.raises(UsageError, match="takes processes of their own"):
        Trainer(config=TrainConfig.model_validate(config(book, nproc=2).model_dump())).run()
