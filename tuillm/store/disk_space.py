"""How much room a disk has, asked before much is written to it. Knows folders and bytes."""

import errno
import os
from pathlib import Path

from tuillm.errors import DiskError
from tuillm.store.files import disk_error
from tuillm.units import size

# what a folder, its small files and their names take besides
_BESIDES = 256 * 1024


def free_bytes(path: Path) -> int | None:
    """Return the room that is left for a person's files at `path`; None where nobody knows."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize if disk.f_blocks else None


def require_space(path: Path, needed: int) -> None:
    """Raise DiskError where the disk of `path` has no room for so many bytes more."""
    free = free_bytes(path)
    if free is None or free >= needed + _BESIDES:
        return
    full = disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path)
    room = f"it takes {size(needed + _BESIDES)}, {size(free)} are free"
    error = DiskError(f"{full.message}: {room}", full.hint)
    error.may_pass = True
    raise error
