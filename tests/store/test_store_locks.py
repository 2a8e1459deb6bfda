"""A lock is held by whoever lives, and by nobody else."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest
from commands import tuillm
from conditions import until

from tuillm.errors import TuillmError
from tuillm.store.files import hold
from tuillm.store.locks import Lock, Taken, holder_of, inherited, is_held, take, take_abandoned
from tuillm.store.process_id import ProcessId
from tuillm.store.run_folder import get_run
from tuillm.store.workers.processes import start_detached


def test_a_lock_is_held_until_it_is_released(tmp_path):
    """Others see it held, this process included, and get it when it is free."""
    path = tmp_path / "lock"
    assert is_held(path) is None  # there is nothing
    with take(path):
        assert is_held(path)
        with pytest.raises(Taken):
            take(path)
    assert is_held(path) is False
    take(path).release()


def test_a_lock_ends_with_its_process(tmp_path, other_process):
    """However it ends: the system lets go of what it held."""
    path = tmp_path / "lock"
    code = (
        f"from pathlib import Path\nfrom tuillm.store.locks import take\n"
        f"lock = take(Path({str(path)!r}))\nprint('ready')"
    )
    with other_process(code) as other:
        assert is_held(path)
        other.kill()
        other.wait(timeout=20)
        assert is_held(path) is False


def test_a_lock_is_handed_to_a_process_without_a_gap(tmp_path):
    """The process that was started holds it from its first moment, and alone from then on."""
    path, log = tmp_path / "lock", tmp_path / "log"
    code = (
        "import sys; from pathlib import Path\n"
        "from tuillm.store.locks import inherited\n"
        "assert inherited(Path(sys.argv[1])) and not inherited(Path(sys.argv[2]))\n"
        "print('ours', flush=True); sys.stdin.read()"
    )
    with take(path) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", code, path, log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[lock.fd],
            env=os.environ | lock.handed_on,
        )
    assert is_held(path)  # though it has not begun to look
    assert child.stdout.readline() == "ours\n"
    assert is_held(path)
    child.communicate(timeout=20)
    assert child.returncode == 0 and is_held(path) is False
    assert inherited(path) is None


def test_a_detached_process_that_cannot_start_holds_nothing(tmp_path):
    """A worker that dies at once leaves its lock free."""
    path = tmp_path / "lock"
    with take(path) as lock:
        start_detached("tuillm.there_is_no_such_module", [], tmp_path / "log", lock=lock)
    end = threading.Event()
    while is_held(path):
        end.wait(0.01)
    take(path).release()


def test_whoever_looks_keeps_nobody_from_taking(tmp_path):
    """A dashboard looks at locks all the time; a worker gets its lock all the same."""
    path, over = tmp_path / "lock", threading.Event()
    path.touch()

    def look():
        while not over.is_set():
            is_held(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            take(path).release()
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path):
    """Who takes the lock of a name holds the file of that name, not one that has gone."""
    path = tmp_path / "lock"
    first = take(path)
    path.unlink()
    with take(path):
        assert is_held(path)
        first.release()
        assert is_held(path)


def test_what_is_abandoned_is_held_while_it_is_cleared(tmp_path):
    """Only what nobody holds can be had, and then nobody else has it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with take_abandoned(folder) as lock:
        assert lock and is_held(folder)
        assert take_abandoned(folder) is None
    assert take_abandoned(tmp_path / "nothing") is None


@pytest.fixture
def no_locks(monkeypatch):
    """A disk that knows no locks."""

    def refuse(fd, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_disk_without_locks_has_lock_files(tmp_path, no_locks):
    """A file beside it, which one process makes and removes, keeps others out."""
    path = tmp_path / "lock"
    assert is_held(path) is None
    with take(path) as lock:
        assert lock.fd is None and is_held(path)
        with pytest.raises(Taken):
            take(path)
    assert is_held(path) is None and not list(tmp_path.glob("*owner*"))
    take(path).release()
    assert take_abandoned(path) is None and Lock(None).handed_on == {}


@pytest.mark.parametrize("told", ["", "{", "[1]", '{"pid": "x"}', "\0" * 2000])
def test_a_lock_file_that_cannot_be_read_counts(tmp_path, no_locks, told):
    """It may be in the making: nobody is robbed of it, until that has taken too long."""
    path, lock_file = tmp_path / "lock", tmp_path / "lock.owner"
    path.touch()
    lock_file.write_text(told)
    assert is_held(path)
    with pytest.raises(Taken):
        take(path)
    os.utime(lock_file, (1, 1))
    assert is_held(path) is False
    take(path).release()


def test_lock_files_of_the_dead_and_of_other_machines(tmp_path, no_locks):
    """Who has died on this machine holds nothing; of another machine nobody knows."""
    path = tmp_path / "lock"
    path.touch()
    lock_file = path.with_name("lock.owner")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = {"host": socket.gethostname(), "pid": dead.pid, "started": 1.0}
    lock_file.write_text(json.dumps(gone))
    assert is_held(path) is False
    with take(path):
        assert is_held(path)
    lock_file.write_text(json.dumps(gone | {"host": "another"}))
    assert is_held(path)
    with pytest.raises(Taken):
        take(path)


def test_a_lock_file_is_handed_to_a_process(tmp_path, no_locks):
    """It is signed anew by the process that was started, and dies with it."""
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path\n"
        "from tuillm.store.locks import inherited\n"
        "lock = inherited(Path(sys.argv[1]))\n"
        "print(lock.lock_file.name, flush=True); sys.stdin.read()"
    )
    with take(path) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", code, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | lock.handed_on,
        )
        lock.hand_over(ProcessId(child.pid, psutil.Process(child.pid).create_time()))
    assert is_held(path)
    assert child.stdout.readline() == "lock.owner\n"
    assert json.loads(path.with_name("lock.owner").read_text())["pid"] == child.pid
    assert is_held(path)
    child.communicate(timeout=20)
    assert is_held(path) is False
    take(path).release()


@pytest.mark.slow
def test_a_run_on_a_disk_without_locks_has_one_worker(tmp_path, book, home, monkeypatch):
    """Started, watched, refused to a second one, and killed: as with locks."""
    (tmp_path / "sitecustomize.py").write_text(
        "import fcntl, errno\n"
        "def refuse(fd, how): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = ["--preset", "nano", "--tokenizer", "char", "--max-steps", "1000000"]
    assert tuillm("train", str(book), *words, "--detach").returncode == 0
    assert tuillm("train", str(book), *words, "--queue", "--name", "next").returncode == 0
    shown = json.loads(tuillm("runs", "--json").stdout)
    assert [each["state"] for each in shown][1] == "queued"
    assert tuillm("runs", "stop", "next-1").returncode == 0
    run = get_run("book-1")
    until(lambda: json.loads(tuillm("runs", "show", run.id, "--json").stdout)["step"] > 0)
    again = tuillm("runs", "resume", run.id)
    assert "asked book-1 to go on" in again.stdout
    os.kill(run.recorded().pid, signal.SIGKILL)
    until(lambda: "lost" in tuillm("runs").stdout)
    assert tuillm("runs", "resume", run.id).returncode == 0
    until(lambda: json.loads(tuillm("runs", "show", run.id, "--json").stdout)["state"] == "running")
    assert tuillm("runs", "stop", run.id).returncode == 0
    until(lambda: "stopped" in tuillm("runs").stdout)


def test_a_lock_says_who_holds_it(tmp_path):
    """Also to another machine that sees the file; nonsense in it is not repeated."""
    path = tmp_path / "lock"
    lock = hold(path, lambda: TuillmError("taken"))
    assert holder_of(path) == f": process {os.getpid()} on {socket.gethostname()}"
    with pytest.raises(TuillmError, match=f"process {os.getpid()} on"):
        hold(path, lambda: TuillmError(f"taken{holder_of(path)}"))
    lock.release()
    path.write_text("process 12 on \x1b[31mred")
    assert holder_of(path) == "" == holder_of(tmp_path / "nothing")
