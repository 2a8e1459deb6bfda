"""Who holds a lock where the disk knows none: a file beside it, made by one process alone.

It says which process of which machine made it. One of this machine that has died leaves a claim
that counts for nothing; of another machine nobody can know, so that it counts until it is removed.
Knows files and processes.
"""

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from tuillm.store.process_id import ProcessId, this_process

_LONGEST = 1000


def claim(path: Path) -> Path | None:
    """Claim the lock of a file; return the claim, None where somebody else has it.

    Raises OSError when the disk refuses.
    """
    file = _file(path)
    for _ in range(2):
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            if is_claimed(path):
                return None
            with suppress(FileNotFoundError):
                os.rename(file, stale := file.with_name(f"{file.name}.{os.getpid()}"))
                stale.unlink()
            continue
        with os.fdopen(fd, "wb") as made:
            made.write(_signature())
        return file
    return None


def take_over(path: Path) -> Path:
    """Sign a claim that the process which started this one has made; return it."""
    file = _file(path)
    file.write_bytes(_signature())
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
        return told["host"] != socket.gethostname() or process.alive
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return True  # it is being written, or not ours to judge


def _signed(file: Path) -> tuple[object, object]:
    try:
        told = json.loads(file.read_bytes()[:_LONGEST])
        return told["host"], told["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _signature() -> bytes:
    me = this_process()
    return json.dumps({"host": socket.gethostname(), "pid": me.pid, "started": me.started}).encode()


def _file(path: Path) -> Path:
    return path.with_name(f"{path.name}.claim")
