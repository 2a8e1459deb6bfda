"""A run that is killed at two hundred random moments ends in the weights of one that was not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_killed_two_hundred_times(book, dtype):
    """Half of them within a save; registry and run folder are valid at each moment."""
    done = subprocess.run(
        [sys.executable, "-m", "training.torture", str(book.parent), dtype, "200", "5"],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= 200 and told["inside_saving"] >= 60, told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "points"),
    [
        ("save_last", 30),
        ("save_best", 25),
        ("save_numbered", 60),
        ("publish", 20),
        ("rename", 2),
        ("copy", 15),
        ("remove", 5),
        ("remove_run", 10),
    ],
)
def test_dying_at_every_operation_on_files(book, work, points):
    """Checkpoint, registry and run folder are the old or the new, and the work can be done again.

    There are at least so many `points`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "training.crash_points", str(book.parent), work],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert int(done.stdout.splitlines()[-1]) >= points, done.stdout
