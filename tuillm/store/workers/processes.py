"""Who is alive: whoever holds the lock of what it works on.

Where there is no lock a process is known by its number and its start time. Also starts processes
that outlive this one, and says how a process of ours is started.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tuillm.formats.bounded_read import open_regular
from tuillm.store.files import disk_error
from tuillm.store.locks import Lock, is_held
from tuillm.store.process_id import ProcessId

# in the environment of processes whose starter holds the lock of what they work on
LAUNCHED = "TUILLM_LAUNCHED"
_LOWEST = 19
_started: list[subprocess.Popen[bytes]] = []


def lower_priority(pid: int) -> None:
    """Let a process that has just been started give way to what a person waits for.

    Its threads inherit that, so it is done before it has any. TUILLM_NICE, 0 to 19, is for those
    who want another niceness than 19: on a machine shared with others a run may get too little.
    """
    try:
        wanted = min(max(int(os.environ.get("TUILLM_NICE", "")), 0), _LOWEST)
    except ValueError:
        wanted = _LOWEST
    with suppress(OSError, AttributeError):  # it has ended, or this system knows no priorities
        if os.getpriority(os.PRIO_PROCESS, pid) < wanted:
            os.setpriority(os.PRIO_PROCESS, pid, wanted)
        # Linux may share the processor among sessions first (sched_autogroup): then a process is
        # nice to its own session alone, and the session has to be so as well
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(str(wanted), encoding="ascii")


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours, wherever it is started.

    -P keeps the current folder off the path, where a text may lie beside a `random.py` that is
    not ours to run. Goes together with `module_environment`.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def module_environment() -> dict[str, str]:
    """Return the environment for `module_command`: a path without the current folder.

    An empty entry of PYTHONPATH stands for that folder, too. Where tuillm runs from its source
    without being installed, its folder is on the path.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [entry for entry in given if entry and os.path.abspath(entry) != here]
    root = str(Path(__file__).parents[3])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *path):
        path.append(root)
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def owner_lives(lock: Path, process: ProcessId) -> bool:
    """Whether who works on something is alive: its lock tells, and its number where none does.

    There is no lock on disks that know none, and in folders of earlier versions.
    """
    held = is_held(lock)
    return process.alive if held is None else held


def reap_ended() -> None:
    """Ask the processes that were started here whether they have ended: else they are zombies."""
    _started[:] = [process for process in _started if process.poll() is None]


def start_detached(
    module: str,
    arguments: list[str],
    log: Path,
    *,
    lock: Lock | None = None,
    environment: Mapping[str, str] | None = None,
    low_priority: bool = True,
) -> ProcessId:
    """Start `python -m MODULE ARGUMENTS...`, its output going to the end of the file `log`.

    It gets a session of its own, so that Ctrl-C in the terminal that started it never reaches it,
    the lowest priority unless told otherwise, and holds `lock` from its first moment on, as
    `locks.inherited` finds it. `environment` is added to this process's own.
    """
    lock = lock or Lock(None)
    try:
        output = open_regular(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise disk_error(error, log) from None
    with os.fdopen(output, "ab") as file:
        process = subprocess.Popen(
            module_command(module, *arguments),
            env={**module_environment(), **lock.handed_on, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            pass_fds=[] if lock.fd is None else [lock.fd],
        )
    if low_priority:
        lower_priority(process.pid)
    reap_ended()
    _started.append(process)
    try:
        owner = ProcessId(process.pid, psutil.Process(process.pid).create_time())
    except psutil.NoSuchProcess:  # it has ended already
        owner = ProcessId(process.pid, 0.0)
    lock.hand_over(owner)
    return owner
