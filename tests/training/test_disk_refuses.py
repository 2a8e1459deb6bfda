"""A disk that refuses what a run has to save: it waits, says so, and loses nothing."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import DiskError, TuillmError
from tuillm.store.disk_space import free_bytes, require_space
from tuillm.store.files import read_json
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model, list_models
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.runner import Runner

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=20, sample_tokens=0, dtype="float32"
)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Save after each step, and try again soon."""
    monkeypatch.setattr(CheckpointSaver, "due", True)
    monkeypatch.setattr("tuillm.training.waiting._RETRY", 0.2)


def new_run(book, **settings):
    return create_run(build_train({"corpus": str(book)} | QUICK | settings), this_process())


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Disk:
    """Refuses to have on the disk what is written into some folders, as long as it is `broken`."""

    def __init__(self, monkeypatch, number, *names):
        self.broken, self.refused = True, 0
        real = os.fsync

        def fsync(fd):
            path = os.readlink(f"/proc/self/fd/{fd}")
            if self.broken and any(f"/.{name}." in path for name in names):
                self.refused += 1
                raise OSError(number, os.strerror(number))
            return real(fd)

        monkeypatch.setattr(os, "fsync", fsync)


NUMBERS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]


@pytest.mark.everyday(1)
@pytest.mark.parametrize("number", NUMBERS, ids=[errno.errorcode[each] for each in NUMBERS])
@pytest.mark.parametrize("name", ["last", "best", "step-10"])
def test_a_run_waits_for_the_disk_and_goes_on(book, monkeypatch, number, name):
    """Paused, with the reason in its status; then its weights are those of an undisturbed run."""
    settings: dict[str, Any] = dict(eval_interval=10, keep=2)
    undisturbed = Trainer(book, **QUICK, **settings, name="other").run(quiet=True)
    run, disk = new_run(book, **settings), Disk(monkeypatch, number, name)
    said: list[str] = []
    runner = Runner(Trainer(config=run.config), run, say=said.append)
    with run.take():
        thread = threading.Thread(target=runner.run)
        thread.start()
        wait_for(lambda: run.status().state == "paused" and disk.refused > 2)
        status = run.status()
        assert status.error and "goes on by itself" in str(status.hint)
        assert str(run.path) in status.error
        disk.broken = False
        thread.join(60)
    status = run.status()
    assert (status.state, status.error, status.hint) == ("finished", None, None)
    assert weights(get_model("book").path) == weights(undisturbed.path)
    assert len(list(metric_rows(run))) == 20
    told = [line for line in said if "the disk" in line]
    assert len(told) == 2 and told[0].startswith("paused: ") and "takes it again" in told[1]


def test_the_former_checkpoint_stays_while_the_disk_refuses(book, monkeypatch):
    """A run that is killed while it waits goes on from there."""
    run, disk = new_run(book), Disk(monkeypatch, errno.EIO, "last")
    disk.broken = False
    trainer = Trainer(config=run.config)

    def tell(metrics):
        disk.broken = metrics.step == 8

    runner = Runner(trainer, run, tell=tell)

    def work():
        with pytest.raises(DiskError):
            runner.run()

    with run.take():
        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: run.status().state == "paused")
        assert read_json(run.checkpoint)["step"] == 7
        run.request("stop")
        thread.join(60)
    assert read_json(run.checkpoint)["step"] == 7 and not list(run.path.glob(".*"))


def test_who_asks_for_a_stop_does_not_wait_for_the_disk(book, monkeypatch):
    """The run fails with the reason, and its best model is published by links."""
    run, disk = new_run(book, eval_interval=5), Disk(monkeypatch, errno.ENOSPC, "last")
    disk.broken = False

    def tell(metrics):
        disk.broken = metrics.step > 7

    runner = Runner(Trainer(config=run.config), run, tell=tell)
    raised: list[BaseException] = []

    def work():
        try:
            runner.run()
        except TuillmError as error:
            raised.append(error)

    with run.take():
        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: run.status().state == "paused")
        run.request("stop")
        thread.join(60)
    status = run.status()
    assert status.state == "failed" and status.error and "no space left" in status.error
    assert "the best so far is 'book'" in str(status.hint) and isinstance(raised[0], DiskError)
    assert [model.name for model in list_models()] == ["book"]
    assert get_model("book").card.steps == 5


def test_a_stop_that_cannot_be_saved_publishes_what_was(book, monkeypatch):
    """What was measured at the stop is of weights that are on no disk."""
    run, disk = new_run(book, eval_interval=5), Disk(monkeypatch, errno.ENOSPC, "last")
    disk.broken = False

    def tell(metrics):
        if metrics.step == 8:
            run.request("stop")
            disk.broken = True

    monkeypatch.setattr(CheckpointSaver, "due", False)
    with run.take(), pytest.raises(DiskError):
        Runner(Trainer(config=run.config), run, tell=tell).run()
    model, status = get_model("book"), run.status()
    assert model.card.steps == status.best_step == 5 and model.card.val_loss == status.val_loss
    assert weights(model.path) == weights(run.best)


def test_lines_wait_for_the_disk_and_training_does_not(book, monkeypatch):
    """Metrics and samples that could not be written come in order when they can."""
    run = new_run(book)
    real = os.write
    refused = 0

    def write(fd, content):
        nonlocal refused
        if os.readlink(f"/proc/self/fd/{fd}").endswith("metrics.jsonl") and refused < 30:
            refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, content)

    monkeypatch.setattr(os, "write", write)
    with run.take():
        Runner(Trainer(config=run.config), run).run()
    rows = [row["step"] for row in metric_rows(run)]
    assert refused == 30 and rows == list(range(1, 21))


def test_a_folder_that_was_removed_is_not_made_again(book):
    """The run ends in one line; nothing is published, and nothing is left."""
    run = new_run(book)

    def tell(metrics):
        if metrics.step == 5:
            shutil.rmtree(run.path)

    with run.take(), pytest.raises(TuillmError, match="folder of run 'book-1' was removed"):
        Runner(Trainer(config=run.config), run, tell=tell).run()
    assert not run.path.exists() and list_models() == []


def test_room_is_looked_for_before_a_checkpoint_is_written(book, tmp_path):
    """What it takes and what is free are in the line."""
    free = free_bytes(tmp_path / "not" / "there")
    assert free is not None and free > 0
    require_space(tmp_path, 1000)
    with pytest.raises(DiskError, match="it takes .* TB, .* are free") as caught:
        require_space(tmp_path, 10**14)
    assert caught.value.may_pass


def ends_paused(process, run):
    """Wait until a worker has ended, or waits for its disk; return whether it waits."""
    wait_for(lambda: process.poll() is not None or run.recorded().state == "paused")
    return process.poll() is None


FILLED = """
import sys
from tuillm.store.run_folder import Run
from tuillm.training import worker, waiting
waiting._RETRY = 0.1
sys.exit(worker.main([sys.argv[1], *sys.argv[2:]]))
"""


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A function that makes the data directory a disk of so many kilobytes; where we may."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes):
        subprocess.run(["umount", disk], capture_output=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], capture_output=True
        )
        if done.returncode:
            pytest.skip("no file system can be mounted here")
        monkeypatch.setenv("TUILLM_HOME", str(disk / "home"))

    yield mount
    subprocess.run(["umount", disk], capture_output=True)


@pytest.mark.slow
def test_a_disk_of_any_size_loses_nothing(book, tmp_path, small_disk, monkeypatch):
    """At thirty sizes: a model that is whole or none, a checkpoint that loads or none, one line."""
    from tuillm.model import read_model

    ends = []
    for size in range(200, 3200, 100):
        small_disk(size)
        try:
            run = new_run(book, max_steps=12, eval_interval=4)
        except TuillmError as error:
            assert "\n" not in str(error)
            ends.append("refused")
            continue
        process = subprocess.Popen(
            [sys.executable, "-c", FILLED, str(run.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        paused = ends_paused(process, run)
        if paused:
            assert "no space left" in str(run.recorded().error), run.recorded()
            run.request("stop")
        said, errors = process.communicate(timeout=60)
        assert "Traceback" not in said + errors, (size, said, errors)
        state = run.status().state
        ends.append(f"{state}{' after a pause' if paused else ''}")
        for model in list_models():
            assert not model.problem
            read_model(model.path)
        if run.checkpoint.exists():
            read_model(run.last)
            assert read_json(run.checkpoint)["step"] > 0
    assert ends[-1] == "finished" and "failed after a pause" in ends, ends
