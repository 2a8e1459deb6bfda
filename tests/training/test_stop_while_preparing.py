"""A run can be stopped while it prepares its text, and so can the command that checks it."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tuillm.config import build_train
from tuillm.store.process_id import this_process
from tuillm.store.registry import list_models
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run, start_run


@pytest.fixture(scope="module")
def long_text(tmp_path_factory):
    """A file of 24 MB of different words, which takes many seconds to learn pieces from."""
    rng = random.Random(1)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 12)))
        for _ in range(200_000)
    ]
    path = tmp_path_factory.mktemp("text") / "long.txt"
    path.write_text(" ".join(rng.choices(words, k=3_300_000)))
    return path


@pytest.fixture(autouse=True)
def no_worker_left():
    yield
    for worker in processes._started:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


def wait_until(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["control", "SIGTERM"])
def test_a_worker_stops_while_it_learns_pieces(long_text, way):
    """It ends within moments in state `stopped`, publishes nothing, and can be taken up again."""
    run = start_run(build_train({"corpus": long_text, "preset": "tiny"}))
    wait_until(lambda: run.status().doing.startswith("learning pieces"), run.status())
    worker = processes._started[-1]
    children = psutil.Process(worker.pid).children()
    began = time.monotonic()
    if way == "control":
        run.request("stop")
    else:
        worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    assert time.monotonic() - began < 6  # under 2 seconds on a machine that does nothing else
    status = run.status()
    assert (status.state, status.doing, status.model) == ("stopped", "", None)
    assert list_models() == []
    assert not [child for child in children if child.is_running()]
    assert resume_run(run) == 0
    wait_until(lambda: run.status().doing, run.status())
    run.request("stop")
    processes._started[-1].wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["train"], ["train", "--forecast"]])
def test_ctrl_c_ends_the_command_while_it_reads_or_forecasts(long_text, arguments, tmp_path):
    """While the text is checked, or its pieces are learned for a forecast: exit code 130."""
    command = [sys.executable, "-m", "tuillm", *arguments, "--preset", "tiny"]
    fifo = tmp_path / "waiting.txt"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*command, long_text if "--forecast" in arguments else fifo],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    if "--forecast" in arguments:
        wait_until(lambda: psutil.Process(process.pid).children(), "pieces are not learned")
    else:
        assert process.stderr.readline().startswith("reading the pipe")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said
    assert time.monotonic() - began < 6


def test_a_stop_before_the_first_step_is_told(book):
    """`tuillm train` and `runs attach` say that there is no model, and how to go on."""
    from tuillm.store.run_folder import create_run

    run = create_run(build_train({"corpus": book, "preset": "nano"}), this_process())
    run.request("stop")
    run.request("sample")
    done = subprocess.run(
        [sys.executable, "-m", "tuillm.training.worker", run.path],
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "stopped: the run was stopped while it prepared its text" in done.stdout
    told = subprocess.run(
        [sys.executable, "-m", "tuillm", "runs", "attach", run.id],
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0 and f"tuillm runs resume {run.id}" in told.stdout
    assert "None" not in told.stdout


LEARNING = """
import sys
from tuillm.text.bpe_training import learn_pieces
learn_pieces([open(sys.argv[1]).read()], 1024, lambda text: iter([text]))
"""


@pytest.mark.slow
def test_what_learns_pieces_ends_with_a_killed_command(long_text):
    """SIGKILL leaves nobody to tell it: it finds out by itself."""
    with subprocess.Popen([sys.executable, "-c", LEARNING, str(long_text)]) as process:
        own = psutil.Process(process.pid)
        wait_until(own.children, "the process that learns")
        learner = own.children()[0]
        process.kill()
    assert not psutil.wait_procs([learner], timeout=30)[1]
