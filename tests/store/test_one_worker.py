"""A run has one worker, and lives as long as that holds its lock, whatever the clock says."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.files import write_json
from tuillm.store.hub.pull_folder import Pull, PullStatus
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run, remove_run
from tuillm.store.snapshot import RunsSnapshot
from tuillm.store.usage import users_of
from tuillm.store.workers.launch import start_run

HOLDING = """
import sys
from pathlib import Path
from tuillm.store.locks import take
lock = take(Path({path!r}))
print('ready')
"""
RESUMING = """
import sys
from tuillm.store.workers.launch import resume_run
from tuillm.store.run_folder import get_run
run = get_run("book-1")
print("ready", flush=True)
sys.stdin.readline()
resume_run(run)
"""


def new_run(book, state="running", **status):
    """A run of `book` in a state that its status tells."""
    run = create_run(build_train({"corpus": str(book), "preset": "nano"}), this_process())
    run.write_status(run.recorded().model_copy(update={"state": state} | status))
    return run


def workers_of(run):
    """The numbers of the worker processes that work in a run's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "tuillm.training.worker" in line and str(run.path) in line:
            found.append(process)
    return found


def holding(path):
    """Code that holds the lock of a file."""
    return HOLDING.format(path=str(path)).strip()


def test_a_worker_lives_though_the_clock_was_set(book, other_process):
    """With another start time in the status, as a clock step gives it, the run still goes on."""
    run, snapshot = new_run(book), RunsSnapshot()
    with other_process(holding(run.lock)) as other:
        run.write_status(
            run.recorded().model_copy(
                update={"pid": other.pid, "process_started": time.time() - 3600}
            )
        )
        assert run.status().state == "running"
        snapshot.refresh()
        assert [entry.status.state for entry in snapshot.runs] == ["running"]
        with pytest.raises(TuillmError, match="is still going"):
            remove_run(run)
        snapshot.refresh()
        assert snapshot.runs[0].status.state == "running"
    assert run.status().state == "lost"
    assert snapshot.refresh() and snapshot.runs[0].status.state == "lost"
    remove_run(run)


def test_a_dead_worker_is_lost_though_its_number_lives(book, other_process):
    """Its number and even its start time are another's now: nobody holds the lock."""
    run = new_run(book)
    run.take().release()
    with other_process() as other:
        run.write_status(
            run.recorded().model_copy(
                update={
                    "pid": other.pid,
                    "process_started": psutil.Process(other.pid).create_time(),
                }
            )
        )
        assert run.status().state == "lost"


def test_a_pull_lives_by_its_lock(home, other_process):
    """What is being pulled is told by who holds the lock, not by numbers."""
    pull = Pull("gpt2", home / "pulls" / "gpt2")
    me = this_process()
    pull.write_status(PullStatus(name="gpt2", pid=me.pid, process_started=me.started - 3600))
    with other_process(holding(pull.lock)):
        assert pull.status().state == "fetching"
    pull.write_status(PullStatus(name="gpt2", pid=me.pid, process_started=me.started))
    assert pull.status().state == "lost"


def test_a_mark_of_use_lives_by_its_lock(home, other_process):
    """A chat uses its model though the clock was set, and a dead one does not by its number."""
    code = (
        "from tuillm.store.usage import using\nmark = using('ant', 'chat')\n"
        "mark.__enter__()\nprint('ready')"
    )
    with other_process(code):
        (mark,) = (home / "in-use").rglob("*.json")
        me = this_process()
        text = mark.read_bytes()
        with mark.open("r+b") as file:  # another start time, in the file that is held
            file.write(text.replace(b'"started": ', b'"started": 1'))
        assert [user.split()[0] for user in users_of("ant")] == ["chat"]
    assert users_of("ant") == []
    write_json(mark, {"pid": me.pid, "started": me.started, "purpose": "chat"})
    assert users_of("ant") == []


@pytest.mark.everyday(1)
@pytest.mark.parametrize("state", ["stopped", "running"])
def test_of_many_who_resume_a_run_one_does(home, book, state):
    """At the same moment several ask for the same: one worker is started, the others are told."""
    run = new_run(book, state)
    run.take().release()
    resumers = [
        subprocess.Popen(
            [sys.executable, "-c", RESUMING],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        assert [each.stdout.readline() for each in resumers] == ["ready\n"] * 4
        for each in resumers:
            each.stdin.write("\n")
            each.stdin.flush()
        told = [each.communicate(timeout=30)[1] for each in resumers]
        assert sorted(each.returncode for each in resumers) == [0, 1, 1, 1], told
        assert all(
            "nothing to resume" in words or "has a worker already" in words
            for words in told
            if words
        )
        assert len(workers_of(run)) == 1
        assert run.status().state in ("preparing", "running")
    finally:
        for worker in workers_of(run):
            worker.kill()


@pytest.mark.slow
def test_a_second_worker_in_a_run_refuses(home, book, other_process):
    """Started by hand beside another it says so in one line, and touches nothing."""
    run = new_run(book)
    with other_process(holding(run.lock)):
        before = (run.path / "status.json").read_bytes()
        done = subprocess.run(
            [sys.executable, "-m", "tuillm.training.worker", str(run.path)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1 and "'book-1' has a worker already" in done.stdout
        assert "Traceback" not in done.stderr
        assert (run.path / "status.json").read_bytes() == before
        assert run.status().state == "running"


def test_a_run_lives_between_its_start_and_its_workers_first_word(home, book):
    """From the start on the worker holds the lock, also when whoever started it is gone."""
    code = (
        "from tuillm.config import build_train\n"
        "from tuillm.store.workers.launch import start_run\n"
        f"start_run(build_train({{'corpus': {str(book)!r}, 'preset': 'nano'}}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    from tuillm.store.run_folder import get_run

    run = get_run("book-1")
    (worker,) = workers_of(run)
    try:
        assert run.status().state in ("preparing", "running")
    finally:
        worker.kill()
    gone = psutil.wait_procs([worker], timeout=20)[0]
    assert gone and run.status().state == "lost"


def test_a_start_that_fails_leaves_no_run(home, book, monkeypatch):
    """When the system starts no process, no folder stays behind."""
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(OSError):
        start_run(build_train({"corpus": str(book), "preset": "nano"}))
    assert list((home / "runs").iterdir()) == []
