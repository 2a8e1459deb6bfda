"""Replies come first: training waits between two steps, unless it is told not to."""

import os
import signal
import threading
import time

import pytest
from commands import end_workers
from conditions import until

from tuillm.config import build_train
from tuillm.store.jsonl import read_rows
from tuillm.store.workers.launch import start_run
from tuillm.store.workers.reply_activity import active_reply, replying


@pytest.fixture(autouse=True)
def workers():
    """No worker outlives its test."""
    yield
    end_workers()


@pytest.fixture
def reply():
    """Generate a reply until the test is over, or until it is ended."""
    over = threading.Event()

    def draw():
        with active_reply() as one:
            while not over.wait(0.05):
                one.go_on()

    thread = threading.Thread(target=draw)
    yield thread, over
    over.set()
    if thread.ident:
        thread.join()


def start(book, **settings):
    """Start a long run of a tiny model; return it when it takes steps."""
    given = dict(corpus=str(book), preset="nano", minutes=10, max_steps=None, sample_tokens=0)
    run = start_run(build_train(given | settings))
    until(lambda: len(steps(run)) > 2)
    return run


def steps(run):
    """The rows of the steps that a run has taken."""
    return read_rows(run.metrics)[0]


def end(run):
    """Stop a run and wait for its end."""
    run.request("stop")
    until(lambda: run.status().state == "stopped")


def test_training_waits_while_a_reply_is_generated(home, book, reply):
    """And goes on afterwards, without the time in between."""
    thread, over = reply
    run = start(book)
    thread.start()
    until(replying)
    began, taken = time.monotonic(), -1

    def stands():
        nonlocal taken, began
        if len(steps(run)) != taken:
            taken, began = len(steps(run)), time.monotonic()
        return time.monotonic() - began > 1.0

    until(stands)
    assert run.status().state == "running"
    waited = time.monotonic() - began
    over.set()
    until(lambda: len(steps(run)) > taken + 2)
    before, after = steps(run)[taken - 1], steps(run)[taken]
    assert after["elapsed"] - before["elapsed"] < waited / 2
    end(run)


@pytest.mark.slow
def test_a_run_that_waits_can_be_stopped(home, book, reply):
    """A request is answered while a reply is generated."""
    thread, _ = reply
    run = start(book)
    thread.start()
    until(replying)
    end(run)


@pytest.mark.slow
def test_a_signal_ends_a_run_that_waits(home, book, reply):
    """SIGTERM is answered while a reply is generated, as at any other time."""
    thread, _ = reply
    run = start(book)
    thread.start()
    until(replying)
    os.kill(run.status().pid, signal.SIGTERM)
    until(lambda: run.status().state == "stopped", 20)
    assert replying()


@pytest.mark.slow
def test_normal_priority_goes_on(home, book, reply):
    """`--priority normal` neither waits nor gives way."""
    thread, _ = reply
    run = start(book, priority="normal")
    thread.start()
    until(replying)
    taken = len(steps(run))
    until(lambda: len(steps(run)) > taken + 5)
    assert replying()
    end(run)


def test_what_was_killed_draws_no_more(home):
    """A reply whose file is not touched any more is over; very old ones are removed."""
    with active_reply():
        assert replying()
        (file,) = (home / "replying").rglob("*-*")
        os.utime(file, (time.time() - 60, time.time() - 60))
        assert not replying() and file.exists()
        os.utime(file, (1, 1))
        assert not replying() and not file.exists()
    assert not replying()


def test_a_data_directory_that_cannot_be_written_is_no_matter(home):
    """The reply is generated all the same."""
    home.write_text("in the way")
    with active_reply() as reply:
        reply.go_on()
        assert not replying()
