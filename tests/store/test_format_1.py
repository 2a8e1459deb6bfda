"""What an earlier version wrote is listed, resumed and talked with by this one.

`data/format_1` holds a model, a stopped run of it, a conversation and a profile, as the commands of
version 0.1.0 left them in November 2026.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuillm.store.registry import get_model, list_models
from tuillm.store.run_folder import get_run, list_runs, metric_rows
from tuillm.store.run_status import ACTIVE
from tuillm.store.sessions import list_sessions, load_session
from tuillm.store.user_profiles import profiles_of

WRITTEN = Path(__file__).parents[1] / "data" / "format_1"


@pytest.fixture
def written(home):
    """The data directory of the earlier version, a copy; returns the text of the run."""
    shutil.copytree(WRITTEN / "home", home)
    return WRITTEN / "book.txt"


def tuillm(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_it_is_listed(written):
    """Models, runs with their figures and curves, conversations with their branches, profiles."""
    (model,), (run,), (head,) = list_models(), list_runs(), list_sessions()
    assert (model.name, model.problem, model.card.run) == ("letters", "", "letters-1")
    status = run.status()
    assert (status.state, status.step, status.best_step, status.extended_steps) == (
        "stopped",
        31,
        30,
        5,
    )
    assert [row["step"] for row in metric_rows(run)] == [*range(1, 32)]
    assert run.config.n_embd == 16 and run.config.patience == 30
    assert (head.name, head.title, head.problem) == ("a walk", "The road", "")
    nodes = load_session(head.id).tree["nodes"]
    assert [node["who"] for node in nodes] == ["you", "model", "model", "you", "model"]
    assert profiles_of("letters")["mine"]["temperature"] == 0.5
    assert json.loads(tuillm("show", "letters", "--json"))["steps"] == 30


def test_its_model_writes_what_it_wrote(written):
    """The seed of a kept reply gives that reply again."""
    nodes = load_session(list_sessions()[0].id).tree["nodes"]
    said = tuillm(
        "generate", "letters", "-p", nodes[0]["text"], "--seed", nodes[1]["seed"], "-n", 12
    )
    assert said == f"{nodes[0]['text']}{nodes[1]['text']}\n"


@pytest.mark.slow
def test_its_run_goes_on(written):
    """From the step it was stopped at, with the extension it was given."""
    tuillm("runs", "resume", "letters-1", "--corpus", written)
    run, end = get_run("letters-1"), time.monotonic() + 60
    while run.status().step < 36 and time.monotonic() < end:
        assert run.status().state in ACTIVE, run.status()
        time.sleep(0.05)
    tuillm("runs", "stop", "letters-1")
    while run.status().state in ACTIVE and time.monotonic() < end:
        time.sleep(0.05)
    status = run.status()
    assert status.state == "stopped" and status.step >= 36 and status.extended_steps == 5
    assert [row["step"] for row in metric_rows(run)] == [*range(1, status.step + 1)]
    assert get_model("letters").card.steps >= 30
