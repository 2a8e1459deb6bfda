"""Who is alive: whoever holds the lock of what it works on.

A process is its number *and* its start time, since numbers come again; but a start time changes
with the clock, so that this counts only where there is no lock. Also starts processes that outlive
this one, and lets go of them.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuillm.store.locks import Lock, is_held

_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class ProcessId:
    """One process of this machine, told apart from a later one with the same number."""

    pid: int
    started: float

    @property
    def alive(self) -> bool:
        """Whether this very process is still running (a zombie is not)."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # start times are rounded to clock ticks on some systems
            return abs(process.create_time() - self.started) < 1.0
        except (psutil.NoSuchProcess, ValueError):  # a damaged file may say any number
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> ProcessId:
    """The process that runs this code."""
    return ProcessId(os.getpid(), psutil.Process().create_time())


def owner_lives(lock: Path, process: ProcessId) -> bool:
    """Whether who works on something is alive: its lock tells, and its number where none does.

    There is no lock on disks that know none, and in folders of earlier versions.
    """
    held = is_held(lock)
    return process.alive if held is None else held


def start_detached(
    module: str, arguments: list[str], log: Path, lock: Lock | None = None
) -> ProcessId:
    """Start `python -m MODULE ARGUMENTS...`, its output going to the end of the file `log`.

    It gets a session of its own, so that Ctrl-C in the terminal that started it never reaches it,
    and holds `lock` from its first moment on, as `locks.inherited` finds it.
    """
    lock = lock or Lock(None)
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            pass_fds=[] if lock.fd is None else [lock.fd], env=os.environ | lock.handed_on,
        )
    # those that have ended are asked, or they would stay as zombies
    _started[:] = [other for other in _started if other.poll() is None] + [process]
    try:
        return ProcessId(process.pid, psutil.Process(process.pid).create_time())
    except psutil.NoSuchProcess:  # it has ended already
        return ProcessId(process.pid, 0.0)
