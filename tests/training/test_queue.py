"""--queue: a run begins when no other is going; the order can be changed, and nothing is lost."""

import os
import signal

import psutil
import pytest
from commands import end_workers, tuillm
from conditions import until

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.run_folder import get_run, list_runs, remove_run
from tuillm.store.run_queue import move_in_queue, queued_runs, waits_for
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers.launch import resume_run, start_run


@pytest.fixture(autouse=True)
def none_left(home, monkeypatch):
    """Nothing is left waiting; and tests do not wait behind all else on the machine."""
    monkeypatch.setenv("TUILLM_NICE", "0")
    yield
    end_workers()


@pytest.fixture
def begin(book):
    """A function that starts a run, long unless it is told otherwise."""

    def start(name, queue=True, **settings):
        quick = dict(corpus=str(book), preset="nano", tokenizer="char", sample_tokens=0, name=name)
        config = build_train(quick | {"max_steps": 1_000_000, "eval_interval": 50} | settings)
        return start_run(config, queue=queue)

    return start


def ids(runs):
    """The names in their order."""
    return [run.id for run in runs]


def waiting(*runs):
    """Wait until each of them says what it waits for."""
    for run in runs:
        until(lambda run=run: run.status().doing.startswith("waits for"), tell=run.status)


def end(run):
    """Stop a run and wait for its end."""
    run.request("stop")
    until(lambda: run.status().state not in ACTIVE, tell=run.status)


@pytest.mark.slow
def test_one_after_the_other(begin):
    """The next begins when the one before has ended, by itself; in the end all have a model."""
    first = begin("one", queue=False)
    others = [begin(name, max_steps=4, eval_interval=2) for name in ("two", "three")]
    waiting(*others)
    assert ids(queued_runs()) == ["two-1", "three-1"]
    assert others[1].status().queue_position == 2
    until(lambda: first.status().state == "running" and first.status().step > 0)
    assert [run.status().state for run in others] == ["queued", "queued"]
    end(first)
    until(lambda: all(run.status().state == "finished" for run in others), seconds=120)
    began = [run.status().elapsed for run in others]
    assert min(began) > 0 and [run.status().model for run in others] == ["two", "three"]
    # the second of them began when the first had ended
    log = [run.log.read_text().splitlines() for run in others]
    assert log[0][-1].split()[0] <= log[1][0].split()[0]


def test_the_first_of_an_empty_queue_begins_at_once(begin):
    """There is nothing to wait for."""
    run = begin("alone", max_steps=4)
    until(lambda: run.status().state == "finished", tell=run.status)
    assert run.status().queue_position == 0 and not run.status().doing


@pytest.mark.slow
def test_the_waiting_process_becomes_the_worker(begin):
    """It is the same process, with the same lock: there is no moment without one."""
    first = begin("one", queue=False)
    run = begin("two")
    waiting(run)
    pid = run.status().pid
    assert "torch" not in " ".join(m.path for m in psutil.Process(pid).memory_maps())
    end(first)
    until(lambda: run.status().state == "running", tell=run.status)
    assert run.status().pid == pid
    assert "tuillm.training.worker" in psutil.Process(pid).cmdline()


@pytest.mark.slow
def test_the_order_can_be_changed(begin):
    """Up, down, first, last; a run that is not queued is refused."""
    first = begin("one", queue=False)
    runs = [begin(name) for name in ("two", "three", "four")]
    waiting(*runs)
    assert move_in_queue(runs[2], "first") == 1
    assert ids(queued_runs()) == ["four-1", "two-1", "three-1"]
    assert move_in_queue(runs[2], "down") == 2
    assert move_in_queue(runs[1], "up") == 2
    assert ids(queued_runs()) == ["two-1", "three-1", "four-1"]
    assert move_in_queue(runs[0], "last") == 3 == move_in_queue(runs[0], "down")
    until(lambda: runs[0].status().queue_position == 3)
    with pytest.raises(TuillmError, match="not queued"):
        move_in_queue(first, "up")
    end(first)
    until(lambda: runs[1].status().state in ("preparing", "running"))
    assert runs[0].status().state == "queued" and waits_for(runs[0])[0] == runs[1]


@pytest.mark.slow
def test_a_stop_takes_it_out_and_a_resume_begins_at_once(begin):
    """What was stopped can be taken up again; who cannot wait does not have to."""
    begin("one", queue=False)
    two, three = begin("two"), begin("three", max_steps=4)
    waiting(two, three)
    end(two)
    assert two.status().state == "stopped"
    until(lambda: not two.has_worker(two.status()))
    three.request("resume")
    until(lambda: three.status().state == "finished", tell=three.status)
    assert resume_run(two, queue=True) == 0
    waiting(two)
    end(two)
    remove_run(two)
    assert "two-1" not in ids(list_runs())


@pytest.mark.slow
def test_a_waiting_process_that_dies_is_told_and_taken_up_again(begin):
    """As any other run that has lost its process; the others do not wait for it."""
    first = begin("one", queue=False)
    two, three = begin("two"), begin("three", max_steps=4)
    waiting(two, three)
    os.kill(two.status().pid, signal.SIGKILL)
    until(lambda: two.status().state == "lost")
    assert ids(queued_runs()) == ["three-1"]
    end(first)
    until(lambda: three.status().state == "finished", tell=three.status)
    assert resume_run(two, queue=True) == 0
    until(lambda: two.status().state == "running", tell=two.status)


@pytest.mark.slow
def test_only_one_of_many_begins(begin):
    """Though all of them see at once that nobody is going any more."""
    first = begin("one", queue=False)
    runs = [begin(name) for name in ("two", "three", "four", "five")]
    waiting(*runs)
    end(first)
    until(lambda: any(run.status().state == "running" for run in runs))
    assert sorted(run.status().state for run in runs)[:3] == ["queued"] * 3


def test_what_is_queued_again_comes_last(begin):
    """Whatever position it had before, and however old it is."""
    begin("one", queue=False)
    two, three = begin("two"), begin("three")
    waiting(two, three)
    move_in_queue(three, "first")
    end(three)
    until(lambda: not three.has_worker(three.status()))
    assert resume_run(three, queue=True) == 0
    assert ids(queued_runs()) == ["two-1", "three-1"]


@pytest.mark.slow
def test_a_signal_takes_it_out_in_order(begin):
    """SIGTERM, as of a machine that is shut down."""
    begin("one", queue=False)
    run = begin("two")
    waiting(run)
    os.kill(run.status().pid, signal.SIGTERM)
    until(lambda: run.status().state == "stopped", tell=run.status)


@pytest.mark.slow
def test_by_the_command_line(begin, book):
    """train --queue returns at once, runs queue shows and moves; nothing is paused yet."""
    begin("one", queue=False)

    for name in ("two", "three"):
        done = tuillm("train", str(book), "--preset", "nano", "--name", name, "--queue")
        assert done.returncode == 0, done.stderr
        assert f"run {name}-1 waits for one-1" in done.stdout
    assert "three-1 is number 1" in tuillm("runs", "queue", "three-1", "first").stdout
    shown = tuillm("runs", "queue").stdout
    assert shown.index("three-1") < shown.index("two-1")
    refused = tuillm("runs", "pause", "two-1")
    assert refused.returncode != 0 and "it is queued" in refused.stderr
    refused = tuillm("runs", "queue", "two-1", "sideways")
    assert refused.returncode != 0 and "first, last, up or down" in refused.stderr
    assert tuillm("runs", "stop", "two-1").returncode == 0
    until(lambda: get_run("two-1").status().state == "stopped")
    again = tuillm("runs", "resume", "two-1", "--queue")
    assert again.returncode == 0, again.stderr
    waiting(get_run("two-1"))
    for run in list_runs():
        end(run)
