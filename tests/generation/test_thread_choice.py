"""Threads of a reply: chosen in tuillm's own programs by size and load, never in a library's."""

import subprocess
import sys

import pytest
import torch

from tuillm.config import TrainConfig
from tuillm.generation import thread_count as threads
from tuillm.store.process_id import ProcessId, this_process
from tuillm.store.run_folder import create_run
from tuillm.store.workers.training_activity import Activity

LARGE, SMALL = 124_000_000, 900_000


@pytest.fixture
def activity(monkeypatch):
    """Looks at the runs each time it is asked, on a machine that has nothing else to do."""
    monkeypatch.setattr("tuillm.store.workers.training_activity._EVERY", 0)
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    found = Activity()
    monkeypatch.setattr(threads, "_activity", found)
    return found


def a_run(process=None, priority="normal", **status):
    config = TrainConfig(corpus=("book.txt",), max_steps=5, priority=priority)
    run = create_run(config, process or this_process())
    run.write_status(run.status().model_copy(update=status))
    return run


def test_a_small_model_has_one_thread(activity):
    """Whatever else goes on; a large one has all there are on an idle machine."""
    assert (threads.choose(SMALL, 8), threads.choose(LARGE, 8)) == (1, 8)


@pytest.mark.parametrize(
    "state, device, computing",
    [
        ("preparing", None, True),
        ("running", "cpu", True),
        ("running", "cuda", False),
        ("paused", "cpu", False),
        ("finished", "cpu", False),
        ("failed", None, False),
    ],
)
def test_beside_a_run_a_large_model_has_one_thread(activity, state, device, computing):
    """Only a run that computes on the processor takes threads away."""
    a_run(state=state, device=device)
    assert threads.choose(LARGE, 8) == (1 if computing else 8)


def test_a_run_that_gives_way_takes_no_threads(activity):
    """A run of low priority waits while a reply is generated."""
    a_run(state="running", device="cpu", priority="low")
    assert threads.choose(LARGE, 8) == 8


def test_runs_are_looked_at_again(activity):
    """A run that starts, is paused and ends during a chat changes the next reply."""
    found = [threads.choose(LARGE, 2)]
    run = a_run(state="running", device="cpu")
    found.append(threads.choose(LARGE, 2))
    for state in ("paused", "running", "stopped"):
        run.write_status(run.status().model_copy(update={"state": state}))
        found.append(threads.choose(LARGE, 2))
    assert found == [2, 1, 2, 1, 2]
    a_run(ProcessId(2**30, 0.0), state="running", device="cpu")  # its process is gone
    assert threads.choose(LARGE, 2) == 2


def test_a_crowded_machine(activity, monkeypatch):
    """Where more wants to run than there are processors, one thread is better than several."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for load, expected in ((2.0, 2), (2.4, 2), (3.0, 1)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert threads.choose(LARGE, 2) == expected


CODE = """
import torch, sys
from tuillm import Sampler
torch.set_num_threads(2)
sampler = Sampler("book")
sampler.generate("The", max_new_tokens=3)
before = torch.get_num_threads()
from tuillm.generation.thread_count import adapt
adapt()
sampler.generate("The", max_new_tokens=3)
print(before, torch.get_num_threads(), getattr(sampler.model, "run_threads", 0))
"""


@pytest.mark.slow
@pytest.mark.parametrize("native", ["0", "1"])
def test_a_library_changes_no_threads(model, native, native_library, monkeypatch):
    """`Sampler` in somebody's program leaves the threads alone; our programs adapt them.

    Those of the native library are its own.
    """
    if native == "1" and native_library is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("TUILLM_NATIVE", native)
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == (["2", "2", "1"] if native == "1" else ["2", "1", "0"])


def test_more_threads_than_one_are_needed_to_choose(activity, monkeypatch, model):
    """With one thread from the start, nothing is looked at."""
    from tuillm import Sampler

    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_most", 1)
    monkeypatch.setattr(threads, "choose", lambda *_: 1 / 0)
    assert Sampler(model).generate("The", max_new_tokens=2) is not None
    assert torch.get_num_threads() == before
