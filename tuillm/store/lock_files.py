"""Lock files, for disks that know no `flock`: a file beside the lock, created by one process alone.

It holds the owner's host, process id and start time. A lock file whose owner has died on this host
is stale and is removed; of another host nobody can know, so that it counts until a person removes
it. (filelock's soft locks are the same, but cannot be handed to a process that was started.) Knows
files and processes.
"""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from tuillm.store.process_id import ProcessId, this_process

_LONGEST = 1000
# seconds after which a lock file without an owner was left by a crash
_IN_THE_MAKING = 30.0


def acquire(path: Path) -> Path | None:
    """Create the lock file of a lock; return it, None where somebody else has it.

    Raises OSError when the disk refuses.
    """
    file = _file(path)
    if is_locked(path) is False and not _remove_stale(file):
        return None
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        with os.fdopen(fd, "wb") as made:
            made.write(_signature(this_process()))
    except OSError:
        file.unlink(missing_ok=True)
        raise
    return file


def sign(file: Path, process: ProcessId) -> Path:
    """Make another process the owner of a lock file; only its owner may do so."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    temporary.write_bytes(_signature(process))
    os.replace(temporary, file)
    return file


def release(file: Path) -> None:
    """Remove a lock file if it is this process's."""
    if _owner(file) == (socket.gethostname(), this_process().pid):
        file.unlink(missing_ok=True)


def is_locked(path: Path) -> bool | None:
    """Whether a lock has a lock file whose owner may be alive; None where it has none."""
    file = _file(path)
    try:
        told = json.loads(file.read_bytes()[:_LONGEST])
        process = ProcessId(int(told["pid"]), float(told["started"]))
        return bool(told["host"] != socket.gethostname() or process.alive)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return _is_new(file)  # it is being written, or its maker died over it


def _is_new(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < _IN_THE_MAKING
    except OSError:
        return False


def _remove_stale(file: Path) -> bool:
    """Remove a stale lock file; return False where another process has replaced it meanwhile."""
    moved = file.with_name(f"{file.name}.{os.getpid()}.stale")
    try:
        stale = file.read_bytes()
        os.rename(file, moved)
        if moved.read_bytes() == stale:
            return True
        with suppress(OSError):  # another has removed it and created its own: put it back
            os.link(moved, file)
        return False
    except OSError:
        return False
    finally:
        moved.unlink(missing_ok=True)


def _owner(file: Path) -> tuple[object, object]:
    try:
        told = json.loads(file.read_bytes()[:_LONGEST])
        return told["host"], told["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _signature(process: ProcessId) -> bytes:
    return json.dumps(
        {"host": socket.gethostname(), "pid": process.pid, "started": process.started}
    ).encode()


def _file(path: Path) -> Path:
    return path.with_name(f"{path.name}.owner")
