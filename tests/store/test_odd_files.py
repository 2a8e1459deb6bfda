"""Pipes and devices where a run's files should be: nobody waits for them, nobody reads for ever."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tuillm.dashboard.metrics_history import read_batch
from tuillm.errors import DiskError, TuillmError
from tuillm.store.export_folder import export_model
from tuillm.store.files import append_json, make_private
from tuillm.store.jsonl import read_rows, read_tail
from tuillm.store.run_control import waiting_extension
from tuillm.store.run_folder import get_run
from tuillm.store.sessions import list_sessions
from tuillm.store.workers.launch import resume_run

WRITTEN = Path(__file__).parents[1] / "data" / "format_1"


@pytest.fixture(params=["pipe", "device"])
def odd(request, tmp_path):
    """A file that has no end, or never a beginning."""
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


def test_readers_pass_over_them(odd):
    """Rows of them are none; what must be there is told as missing its file."""
    assert read_rows(odd) == ([], 0) and read_tail(odd) == []
    with pytest.raises(TuillmError, match="no regular file"):
        read_batch(odd)


def test_writers_refuse_them(odd):
    """A line for them is an error in words."""
    for write in (lambda: append_json(odd, {}), lambda: make_private(odd)):
        with pytest.raises(DiskError, match="no regular file"):
            write()


def test_lists_name_them(odd, home):
    """A conversation that is one is damaged."""
    (home / "chats").mkdir(parents=True)
    os.rename(odd, home / "chats" / "odd.json")
    (head,) = list_sessions()
    assert "no regular file" in head.problem


def test_many_bytes_are_read_in_parts(tmp_path):
    """The next call goes on where the bound was."""
    path = tmp_path / "rows"
    path.write_bytes(b'{"step": 1}\n' * 10)
    rows, offset = read_rows(path, 0, 30)
    assert (len(rows), offset) == (2, 24)
    assert len(read_rows(path, offset)[0]) == 8


def test_a_run_is_not_resumed_into_a_pipe(home):
    """Its log cannot be written: one line, and the run stays as it was."""
    shutil.copytree(WRITTEN / "home", home)
    log = home / "runs" / "letters-1" / "log.txt"
    log.unlink()
    os.mkfifo(log)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tuillm",
            "runs",
            "resume",
            "letters-1",
            "--corpus",
            str(WRITTEN / "book.txt"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "log.txt" in done.stderr and "no regular file" in done.stderr
    assert get_run("letters-1").status().state == "stopped"


def test_an_extension_is_asked_for_once(home):
    """A worker that could not start leaves nothing behind that would count twice."""
    shutil.copytree(WRITTEN / "home", home)
    run = get_run("letters-1")
    os.rename(run.log, home / "log.txt")
    os.mkfifo(run.log)
    for _ in range(2):
        with pytest.raises(TuillmError, match="no regular file"):
            resume_run(run, extend=5)
        assert waiting_extension(run.control, run.status().control_read) == 0
    run.request("extend", 3)  # what an earlier worker did not come to stays asked for
    with pytest.raises(TuillmError, match="no regular file"):
        resume_run(run, extend=5)
    assert waiting_extension(run.control, run.status().control_read) == 3


def test_no_model_is_exported_into_the_registry(home):
    """It would go with the model in whose folder it lay."""
    shutil.copytree(WRITTEN / "home", home)
    for target in (home / "models" / "letters" / "sub", home / "models" / "new"):
        with pytest.raises(TuillmError, match="lies in the registry"):
            export_model("letters", target)
