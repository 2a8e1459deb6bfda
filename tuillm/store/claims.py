"""Who holds a lock where the disk knows none: a file beside it, made by one process alone.

It says which process of which machine made it. One of this machine that has died leaves a claim
that counts for nothing; of another machine nobody can know, so that it counts until it is removed.
Knows files and processes.
"""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from tuillm.store.process_id import ProcessId, this_process

_LONGEST = 1000
# seconds after which a claim that says nothing was left by a crash
_IN_THE_MAKING = 30.0


def claim(path: Path) -> Path | None:
    """Claim the lock of a file; return the claim, None where somebody else has it.

    Raises OSError when the disk refuses.
    """
    file = _file(path)
    if is_claimed(path) is False and not _clear(file):
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
    """Let a claim that this process, or the one that started it, has made be that of a process."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    temporary.write_bytes(_signature(process))
    os.replace(temporary, file)
    return file


def give_up(file: Path) -> None:
    """Remove a claim if it is this process's."""
    if _signed(file) == (socket.gethostname(), this_process().pid):
        file.unlink(missing_ok=True)


def is_claimed(path: Path) -> bool | None:
    """Whether somebody who may be alive claims the lock of a file; None where nobody ever did."""
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


def _clear(file: Path) -> bool:
    """Remove a claim of the dead; return whether it was that, and not one made in this moment."""
    moved = file.with_name(f"{file.name}.{os.getpid()}.stale")
    try:
        dead = file.read_bytes()
        os.rename(file, moved)
        if moved.read_bytes() == dead:
            return True
        with suppress(OSError):  # another has cleared it and made its own: back with it
            os.link(moved, file)
        return False
    except OSError:
        return False
    finally:
        moved.unlink(missing_ok=True)


def _signed(file: Path) -> tuple[object, object]:
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
    return path.with_name(f"{path.name}.claim")
