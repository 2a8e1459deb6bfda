"""Run folders: numbering, states, settings and extensions, and what remains after a crash."""

import os
import subprocess
import sys

import psutil
import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError, UsageError
from tuillm.store.files import append_json, write_text
from tuillm.store.process_id import ProcessId, this_process
from tuillm.store.run_control import ControlRequest, requests
from tuillm.store.run_folder import (
    active_run_for,
    create_run,
    get_run,
    list_runs,
    metric_rows,
    model_name,
    remove_run,
)
from tuillm.store.workers import processes
from tuillm.store.workers.launch import resume_run


def new_run(process=None, **settings):
    """Create a run of this process unless another is given."""
    config = build_train({"corpus": "My Book.txt"} | settings)
    return create_run(config, process or this_process())


def set_state(run, state, **more):
    """Write a state into a run's status, as its worker would."""
    run.write_status(run.status().model_copy(update={"state": state} | more))


@pytest.fixture
def ended_process(other_process):
    """A process that really ran and is gone."""
    with other_process() as other:
        process = ProcessId(other.pid, psutil.Process(other.pid).create_time())
        assert process.alive
    return process


def test_a_new_run_holds_its_settings_and_prepares(home):
    """The folder carries the whole config and belongs to the process that made it."""
    run = new_run(max_steps=7)
    assert run.path == home / "runs" / "My-Book-1"
    assert run.config.max_steps == 7
    status = run.status()
    assert (status.state, status.pid) == ("preparing", os.getpid())
    assert get_run("My-Book-1") == run


def test_runs_of_a_name_are_numbered_on():
    """Numbers count up per name and are not given again while a higher one exists."""
    assert [new_run().id, new_run().id] == ["My-Book-1", "My-Book-2"]
    first = get_run("My-Book-1")
    set_state(first, "finished")
    remove_run(first)
    assert new_run().id == "My-Book-3"
    assert new_run(name="other").id == "other-1"
    assert new_run(name="other-1").id == "other-1-1"


def test_runs_are_listed_from_the_oldest():
    """The order is that of their making, not of their names."""
    made = [new_run(name=name) for name in ("zebra", "ant", "moth")]
    for age, run in enumerate(made):
        os.utime(run.path / "run.json", (1000 + age, 1000 + age))
    assert [run.id for run in list_runs()] == ["zebra-1", "ant-1", "moth-1"]


def test_no_runs_is_an_empty_list(home):
    """Listing before anything was trained finds nothing and creates nothing."""
    assert list_runs() == []
    assert not home.exists()


def test_an_unfit_name_makes_no_run(home):
    """A name that climbs out of the folder is refused before anything is written."""
    with pytest.raises(UsageError):
        new_run(name="../x")
    assert not list(home.rglob("run.json"))


def test_a_run_without_a_text_still_has_a_name():
    """A config that names neither text nor model does not break whoever asks for its name."""
    assert model_name(build_train({})) == "book"


def test_an_unknown_run_names_the_nearest():
    """A misspelt run is refused with the run it resembles."""
    new_run()
    with pytest.raises(TuillmError, match="no run named 'my-bok-1'") as caught:
        get_run("my-bok-1")
    assert "'My-Book-1'" in caught.value.hint


@pytest.mark.parametrize("run_id", ["", ".", "..", "../runs/My-Book-1", "My-Book-1/", "x" * 300])
def test_a_run_name_that_is_no_entry_finds_nothing(run_id):
    """Names that climb or cannot be file names find no run and do not crash."""
    new_run()
    with pytest.raises(TuillmError, match="no run named"):
        get_run(run_id)


@pytest.mark.parametrize("state", ["preparing", "running", "paused"])
def test_a_run_is_lost_when_its_process_is_gone(ended_process, state):
    """An active state whose process has really ended reads as lost."""
    run = new_run()
    set_state(run, state, pid=ended_process.pid, process_started=ended_process.started, eta=9.0)
    assert (run.status().state, run.status().eta) == ("lost", None)


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_an_ended_run_is_not_lost(ended_process, state):
    """A run that ended in order keeps its state after its process is gone."""
    run = new_run(ended_process)
    set_state(run, state)
    assert run.status().state == state


def test_a_run_is_lost_when_its_number_came_again(other_process):
    """The recorded number is alive but started at another time: not our worker."""
    with other_process() as other:
        started = psutil.Process(other.pid).create_time()
        assert new_run(ProcessId(other.pid, started)).status().state == "preparing"
        assert new_run(ProcessId(other.pid, started - 100)).status().state == "lost"


def test_a_run_is_lost_when_its_process_is_a_zombie():
    """A worker that ended and was not waited for is as gone as any other."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    run = new_run(ProcessId(child.pid, psutil.Process(child.pid).create_time()))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and left a zombie
    assert run.status().state == "lost"
    child.wait()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        '{"state": "dancing"}',
        '{"state": "running", "pid": "x"}',
        '{"state": "running", "pid": -1}',
        '{"state": "running"}',
    ],
)
def test_a_damaged_status_reads_as_lost(content):
    """A run whose status is missing or damaged is lost; the other runs are still listed."""
    run, other = new_run(), new_run()
    if content is None:
        (run.path / "status.json").unlink()
    else:
        (run.path / "status.json").write_text(content)
    assert run.status().state == "lost"
    assert {entry.id: entry.status().state for entry in list_runs()} == {
        run.id: "lost",
        other.id: "preparing",
    }
    remove_run(run)
    assert list_runs() == [other]


@pytest.mark.parametrize("content", ["{", '{"state": "dancing"}', '{"pid": "x"}'])
def test_a_damaged_status_says_which_file(content):
    """The error of such a run names the damaged file in one line."""
    run = new_run()
    (run.path / "status.json").write_text(content)
    assert "status.json is damaged" in run.status().error


@pytest.mark.parametrize("content", ["{", '{"n_layer": -1}', '{"unheard_of": 1}'])
def test_a_damaged_config_is_named(content):
    """A run.json that is no config is told in one line, and other runs are still found."""
    run, other = new_run(name="ant"), new_run(name="bee")
    (run.path / "run.json").write_text(content)
    with pytest.raises(TuillmError, match="run.json is damaged"):
        _ = run.config
    assert active_run_for("bee") == other


def test_an_active_run_is_found_by_its_model(ended_process):
    """Only a run that is going on counts as growing a model."""
    assert active_run_for("My-Book") is None
    new_run(ended_process)
    assert active_run_for("My-Book") is None
    run = new_run()
    assert active_run_for("My-Book") == run
    set_state(run, "stopped")
    assert active_run_for("My-Book") is None


def test_a_run_is_not_removed_while_its_process_lives(other_process):
    """Removing is refused with the command to stop, and works once the process has ended."""
    with other_process() as other:
        run = new_run(ProcessId(other.pid, psutil.Process(other.pid).create_time()))
        with pytest.raises(TuillmError, match="is still going") as caught:
            remove_run(run)
        assert f"tuillm runs stop {run.id}" in caught.value.hint
        assert run.path.exists()
    remove_run(run)
    assert list_runs() == []


def test_requests_arrive_in_order_and_once():
    """A reader that keeps its offset sees each request once, in the order asked."""
    run = new_run()
    assert requests(run.control, 0) == ([], 0)
    for request in ("pause", "sample"):
        run.request(request)
    found, offset = requests(run.control, 0)
    assert found == [ControlRequest("pause"), ControlRequest("sample")]
    run.request("extend", steps=5)
    assert requests(run.control, offset)[0] == [ControlRequest("extend", 5)]
    assert requests(run.control, requests(run.control, offset)[1])[0] == []


def test_a_damaged_request_hides_no_other():
    """What somebody wrote into the control file by hand is passed over."""
    run = new_run()
    lines = ["stop!", '{"wish": "stop"}', '{"request": "dance"}', '{"request": ["stop"]}']
    for steps in (
        "",
        ', "steps": 0',
        ', "steps": -3',
        ', "steps": 2.5',
        ', "steps": true',
        ', "steps": "7"',
        ', "steps": null',
    ):
        lines.append(f'{{"request": "extend"{steps}}}')
    run.control.write_text("\n".join([*lines, ""]))
    run.request("eval")
    assert requests(run.control, 0)[0] == [ControlRequest("eval")]


@pytest.mark.parametrize("steps", [0, -3, 2.5, True, "7"])
def test_an_extension_is_by_whole_steps(steps):
    """A run is asked for one step more or for several, else in one line for neither."""
    run = new_run()
    with pytest.raises(UsageError, match="cannot be extended by"):
        run.request("extend", steps=steps)
    assert not run.control.exists()


def test_steps_repeated_after_a_resume_count_once_the_newest():
    """Steps since the checkpoint come again after a resume; the later row is the true one."""
    run = new_run()
    for step, loss in [(1, 5.0), (2, 4.0), (3, 3.9), (2, 3.5), (3, 3.0), (4, 2.5)]:
        append_json(run.metrics, {"step": step, "train_loss": loss})
    rows = [(row["step"], row["train_loss"]) for row in metric_rows(run)]
    assert rows == [(1, 5.0), (2, 3.5), (3, 3.0), (4, 2.5)]


def test_a_run_as_json_is_flat():
    """What `runs show --json` prints has id, path and status side by side."""
    row = new_run().as_json()
    assert (row["id"], row["state"], row["pid"]) == ("My-Book-1", "preparing", os.getpid())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("finished", "has finished"),
        ("running", "is running"),
        ("paused", "is paused"),
        ("preparing", "is preparing"),
    ],
)
def test_a_run_that_has_not_ended_early_is_not_resumed(state, words):
    """There is nothing to resume while a run goes on, nor once it has finished."""
    run = new_run()
    write_text(run.last / "trainer.json", "{}")
    set_state(run, state)
    with pytest.raises(TuillmError, match=f"'My-Book-1' {words}; there is nothing to resume"):
        resume_run(run)
    assert run.status().state == state


def test_a_finished_run_is_told_how_to_go_on():
    """What cannot be resumed can be extended, and the command for it is named."""
    run = new_run()
    set_state(run, "finished")
    with pytest.raises(TuillmError) as caught:
        resume_run(run)
    assert "tuillm runs extend My-Book-1 STEPS" in caught.value.hint
    with pytest.raises(UsageError, match="cannot be extended by -1 steps"):
        resume_run(run, extend=-1)
    with pytest.raises(TuillmError, match="has no checkpoint to go on from"):
        resume_run(run, extend=5)
    with run.take():
        set_state(run, "running")
        with pytest.raises(TuillmError, match="is running"):
            resume_run(run, extend=5)


@pytest.mark.parametrize("place", ["last", ".last.old.abc/folder"])
def test_resuming_starts_a_worker_that_belongs_to_nobody(place):
    """The worker has a session of its own and its lock, even after a crash while saving.

    A crash between the two renames of a save leaves the checkpoint under another name.
    """
    run = new_run()
    write_text(run.path / place / "trainer.json", "{}")
    run.request("stop")
    set_state(run, "failed", error="the disk was full")
    resume_run(run)
    worker = processes._started[-1]
    try:
        status = run.status()
        assert (status.state, status.error) == ("preparing", None)
        assert os.getsid(worker.pid) == worker.pid != os.getsid(0)
        assert not run.control.exists(), "an old request would stop the new worker"
    finally:
        worker.kill()
        worker.wait()
    assert run.status().state == "lost"


def test_an_unwritable_data_directory_is_one_clear_error(tmp_path, monkeypatch):
    """A run that cannot be written is refused in one line with the variable to set."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TUILLM_HOME", str(tmp_path / "file"))
    assert list_runs() == []
    with pytest.raises(TuillmError, match="cannot write to") as caught:
        new_run()
    assert "TUILLM_HOME" in caught.value.hint
