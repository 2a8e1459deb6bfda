"""Time in which a process did not run is no training; a clock that is set changes nothing."""

import os
import signal
import time
from itertools import pairwise
from typing import Any

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers import processes
from tuillm.store.workers.launch import start_run
from tuillm.training.metrics import Stopwatch
from tuillm.training.runner import Runner
from tuillm.training.suspension import SuspensionWatch

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=20, sample_tokens=0, dtype="float32"
)


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lived(clock, watch, seconds):
    """Let a process live that long."""
    for _ in range(int(2 * seconds)):
        clock.now += 0.5
        watch.look()


@pytest.mark.parametrize("first", ["look", "continued"])
def test_ten_minutes_of_a_stopped_process_do_not_count(first):
    """Whichever comes first when it is continued: the signal, or the look at the clock."""
    clock = Clock()
    stopwatch = Stopwatch(0.0, clock)
    watch = SuspensionWatch(stopwatch.leave_out, clock)
    lived(clock, watch, 20)
    clock.now += 600
    for each in (first, "continued"):
        getattr(watch, each)()
        clock.now += 0.001
    lived(clock, watch, 20)
    assert stopwatch.seconds == pytest.approx(40, abs=0.6)


def test_a_machine_that_slept_without_a_word_does_not_count_either():
    """No single operation takes five minutes; one of a minute may have been work."""
    clock = Clock()
    stopwatch = Stopwatch(0.0, clock)
    watch = SuspensionWatch(stopwatch.leave_out, clock)
    for gap in (60, 4000):
        clock.now += gap
        watch.look()
    lived(clock, watch, 10)
    assert stopwatch.seconds == pytest.approx(70, abs=0.6)


def test_a_signal_without_a_suspension_changes_nothing():
    """`kill -CONT` of a process that runs."""
    clock = Clock()
    stopwatch = Stopwatch(0.0, clock)
    watch = SuspensionWatch(stopwatch.leave_out, clock)
    lived(clock, watch, 5)
    watch.continued()
    lived(clock, watch, 5)
    assert stopwatch.seconds == pytest.approx(10)


def test_pauses_in_each_other_are_left_out_once():
    """And a suspension within a pause is not left out a second time."""
    clock = Clock()
    stopwatch = Stopwatch(5.0, clock)
    with stopwatch.stopped():
        clock.now += 10
        with stopwatch.stopped():
            clock.now += 10
            stopwatch.leave_out(7)
        clock.now += 10
        assert stopwatch.seconds == 5
    clock.now += 1
    assert stopwatch.seconds == 6


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumps_a_day_does_not_end_or_hurry_a_run(book, monkeypatch, days):
    """Neither its time nor its state follow the wall clock."""
    run = create_run(build_train({"corpus": str(book)} | QUICK), this_process())
    real, states = time.time, []

    def tell(metrics):
        if metrics.step == 10:
            monkeypatch.setattr(time, "time", lambda: real() + 86_400 * days)
        states.append(run.status().state)

    begin = time.perf_counter()
    with run.take():
        Runner(Trainer(config=run.config), run, tell=tell).run()
    worked = time.perf_counter() - begin
    assert set(states[1:]) == {"running"} and run.status().state == "finished"
    elapsed = [row["elapsed"] for row in metric_rows(run)]
    assert elapsed == sorted(elapsed) and 0 < elapsed[-1] < worked


@pytest.mark.slow
def test_a_worker_that_was_stopped_for_seconds(book):
    """SIGSTOP and SIGCONT: neither its time nor its speed have the gap."""
    run = start_run(build_train({"corpus": str(book)} | QUICK | dict(max_steps=400)))
    end = time.monotonic() + 120

    def until(condition):
        while not condition():
            assert time.monotonic() < end, run.log.read_text()
            time.sleep(0.01)

    until(lambda: run.status().step >= 20)
    pid = run.status().pid
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: time.monotonic() - stopped > 4)
    assert run.status().state == "running"  # not lost: its process holds the lock
    os.kill(pid, signal.SIGCONT)
    until(lambda: run.status().state not in ACTIVE)
    for worker in processes._started:
        worker.wait(20)
    assert run.status().state == "finished" and "was suspended for" in run.log.read_text()
    elapsed = [row["elapsed"] for row in metric_rows(run)]
    assert max(after - before for before, after in pairwise(elapsed)) < 3
