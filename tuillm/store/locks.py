"""Locks that tell who lives: held by an open file, let go by the system when its process ends.

A lock is `flock` of a file or a folder. Whoever starts a process can hand it a lock it holds, so
that there is no moment in between. Disks that know no `flock` have lock files, see `lock_files`.
Knows files; does not know what a lock stands for.
"""

import fcntl
import os
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tuillm.store.lock_files import acquire, is_locked, release, sign
from tuillm.store.process_id import ProcessId, this_process

# a look at a lock holds it for some microseconds, in which its taker must not give up
_GRACE = 0.3
_POLL = 0.01
_LONGEST = 300
_SIGNED = re.compile(r"process \d+ on [\w.-]+")
_VARIABLE, _LOCK_FILE = "TUILLM_LOCK", "TUILLM_LOCK_FILE"


class Taken(Exception):
    """Another process, or another part of this one, holds the lock."""


class Lock:
    """What is held until `release`, or until the process ends.

    That is an open file, `fd`, or a `lock_file` where the disk knows no `flock`; both are None
    where nothing is held.
    """

    def __init__(self, fd: int | None, lock_file: Path | None = None) -> None:
        self.fd, self.lock_file = fd, lock_file

    def release(self) -> None:
        """Let go of it; a process it was handed to goes on holding it."""
        if self.fd is not None:
            os.close(self.fd)  # an explicit LOCK_UN would take it from that process, too
            self.fd = None
        if self.lock_file is not None:
            release(self.lock_file)
            self.lock_file = None

    def signed(self) -> Self:
        """Write into the file who holds it, for whoever finds it held; return the lock."""
        if self.fd is not None:
            told = f"process {os.getpid()} on {socket.gethostname()}\n".encode()
            with suppress(OSError):
                os.pwrite(self.fd, told, 0)
                os.ftruncate(self.fd, len(told))
        return self

    @property
    def handed_on(self) -> dict[str, str]:
        """What the environment of a process says that gets the lock by `pass_fds`."""
        if self.lock_file is not None:
            return {_LOCK_FILE: str(self.lock_file)}
        return {} if self.fd is None else {_VARIABLE: str(self.fd)}

    def hand_over(self, process: ProcessId) -> None:
        """Make a process just started the owner of a lock file; an open file it has already."""
        if self.lock_file is not None:
            sign(self.lock_file, process)
            self.lock_file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def take(path: Path, wait: float = 0.0) -> Lock:
    """Make the file `path` if it is missing, and hold its lock; wait for it up to `wait` seconds.

    Raises Taken when somebody else goes on holding it, OSError when the file cannot be made.
    """
    end = time.monotonic() + max(wait, _GRACE)
    while True:
        lock = Lock(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        try:
            held = _lock(lock.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held and _is_at(lock.fd, path):
                return lock
        except BaseException:
            lock.release()
            raise
        lock.release()
        if held is None and (lock_file := acquire(path)):
            return Lock(None, lock_file)
        if time.monotonic() >= end:
            raise Taken(str(path))
        time.sleep(_POLL)


def holder_of(path: Path) -> str:
    """Return who has signed a lock, as words to add to a sentence, or ""."""
    try:
        with path.open("rb") as file:
            told = file.read(_LONGEST).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f": {told}" if _SIGNED.fullmatch(told) else ""


def take_new(fd: int, path: Path) -> bool:
    """Hold the lock of a file or folder just made and opened as `fd`; return whether it is ours.

    It is not where somebody who took it for abandoned has removed it in that moment.
    """
    _lock(fd, fcntl.LOCK_EX)
    return _is_at(fd, path)


def take_abandoned(path: Path) -> Lock | None:
    """Hold the lock of a file or folder that nobody holds; None where that cannot be said."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hold us up
    except OSError:
        return None
    if _lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB):
        return Lock(fd)
    os.close(fd)
    return None


def is_held(path: Path) -> bool | None:
    """Whether somebody holds the lock of `path`; None where that cannot be said.

    That is where nothing is there, where it cannot be read, and on disks that know no `flock`
    where it has no lock file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hold us up
    except OSError:
        return None
    try:
        free = _lock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return is_locked(path) if free is None else not free
    finally:
        os.close(fd)


def inherited(path: Path, environment: Mapping[str, str] = os.environ) -> Lock | None:
    """Return the lock of `path` that this process was started with, if it was."""
    if environment.get(_LOCK_FILE, "").startswith(str(path)) and is_locked(path) is not None:
        return Lock(None, sign(Path(environment[_LOCK_FILE]), this_process()))
    told = environment.get(_VARIABLE, "")
    fd = int(told) if told.isascii() and told.isdigit() else -1
    try:
        if fd > 2 and _is_at(fd, path):
            os.set_inheritable(fd, False)  # it ends with this process, not with one it starts
            return Lock(fd)
    except OSError:  # no such file is open
        pass
    return None


def _lock(fd: int | None, how: int) -> bool | None:
    """Whether the lock was got; None where the disk knows none."""
    assert fd is not None
    try:
        fcntl.flock(fd, how)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(fd: int | None, path: Path) -> bool:
    """Whether what is open is still what stands under that name."""
    assert fd is not None
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False
