"""Files and folders in the making: beside what they are to become, locked by who makes them.

Their names say what they are for: `.NAME.new.XXXXXXXX` is being written, `.NAME.old.XXXXXXXX`
holds a folder while another takes its place, `.NAME.gone.XXXXXXXX` is being removed. Their lock
tells those of a living process from what a crash has left. Knows names, locks and modes; knows
nothing of what stands in them.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from tuillm.store.defer_signals import uninterrupted
from tuillm.store.locks import Lock, is_held, take_abandoned, take_new

Kind = Literal["new", "old", "gone"]

_NAMED = re.compile(r"\.(.+)\.(new|old|gone)\.[a-z0-9_]{8}")
# earlier versions gave such names to what they were writing
_NAMED_BEFORE = re.compile(r"\.(.+)\.()[a-z0-9_]{8}")
# on disks without locks, what nobody has touched for so long is nobody's, in seconds
_ABANDONED_AFTER = 86_400.0
_LONGEST_NAME = 100
_FAILS = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


@contextmanager
def temporary_file(target: Path, private: bool = False) -> Iterator[tuple[Path, int]]:
    """Yield a new empty file beside `target`, and it opened; at the end it is removed.

    Unless it was renamed by then: its mode is that of the file it replaces, that of any new file
    where there is none, and for its owner alone if `private`. Raises OSError.
    """
    mode = 0o600 if private else 0o666
    made = _Made(target, lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
    try:
        with suppress(FileNotFoundError):
            before = stat.S_IMODE(os.stat(target).st_mode)
            if not private and before != stat.S_IMODE(os.fstat(made.fd).st_mode):
                os.fchmod(made.fd, before & 0o777)
        yield made.path, made.fd
    finally:
        made.remove()


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `target`; at the end it is removed if it was not renamed.

    Raises OSError.
    """
    made = _Made(target, _open_new_folder)
    try:
        yield made.path
    finally:
        made.remove()


def make_folder(target: Path, kind: Kind) -> tuple[Path, Lock]:
    """Make an empty folder beside `target` and hold its lock; raises OSError."""
    path, fd = _make(target, kind, _open_new_folder)
    return path, Lock(fd)


def discard(path: Path) -> None:
    """Remove a file or a folder so that no half of it is ever seen under its name; OSError."""
    with uninterrupted():
        gone = _beside(path, "gone")
        os.rename(path, gone)
        _remove(gone)


def is_in_the_making(path: Path) -> bool:
    """Whether a living process works on what has such a name, as far as that can be said."""
    held = is_held(path)
    return _is_fresh(path) if held is None else held


def clear_leftovers(folder: Path, *, before: bool = False) -> None:
    """Remove what crashed processes were making, replacing or removing in a folder.

    With `before`, also what has the names of earlier versions: for folders that are all ours. A
    folder that was being replaced and is missing stays, for `recover_folder`.
    """
    with suppress(OSError):
        for path in leftovers(folder, before=before):
            name, kind = _named(path.name, before) or ("", "")
            if (
                kind == "old"
                and os.path.lexists(path / "folder")
                and not os.path.lexists(folder / name)
            ):
                continue
            lock = take_abandoned(path) or Lock(None)
            if lock.fd is not None or not is_in_the_making(path):
                with lock:
                    _remove(path)


def leftovers(folder: Path, *, before: bool = False) -> list[Path]:
    """Return what has a temporary name in a folder and no living process works on."""
    try:
        names = [entry.name for entry in os.scandir(folder) if _named(entry.name, before)]
    except OSError:
        return []
    return [path for name in sorted(names) if not is_in_the_making(path := folder / name)]


def hidden_by_replacement(folder: Path) -> list[str]:
    """Return the names whose folders lie aside because a process died while it replaced them."""
    named = [_named(path.name, False) for path in leftovers(folder)]
    return [found[0] for found in named if found and found[1] == "old"]


def sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a power failure, where the disk can do that.

    Raises OSError where the disk fails while it does.
    """
    try:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _FAILS:  # whatever else it says, it does not know this for folders
            raise


class _Made:
    """A file or folder in the making; it goes with this object, if nothing removes it before.

    So it does where Ctrl-C comes right between a block and its `finally`.
    """

    def __init__(self, target: Path, create: Callable[[Path], int]) -> None:
        self.fd = -1
        with uninterrupted():
            self.path, self.fd = _make(target, "new", create)

    def remove(self) -> None:
        """Remove it, unless it was renamed, and let go of it."""
        with uninterrupted():
            fd, self.fd = self.fd, -1
            if fd >= 0:
                with suppress(OSError):
                    if os.path.lexists(self.path):
                        discard(self.path)
                os.close(fd)

    def __del__(self) -> None:
        if self.fd >= 0:
            self.remove()


def _make(target: Path, kind: Kind, create: Callable[[Path], int]) -> tuple[Path, int]:
    """Create something with a free name and hold its lock."""
    while True:
        path = _beside(target, kind)
        try:
            fd = create(path)
        except FileExistsError:
            continue
        if take_new(fd, path):
            return path, fd
        os.close(fd)  # taken for abandoned in this very moment


def _open_new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _beside(target: Path, kind: Kind) -> Path:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # a disk takes 255 bytes
        name = name[:20]
    return target.parent / f".{name}.{kind}.{secrets.token_hex(4)}"


def _named(name: str, before: bool) -> tuple[str, str] | None:
    match = _NAMED.fullmatch(name) or (_NAMED_BEFORE.fullmatch(name) if before else None)
    return (match[1], match[2]) if match else None


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - os.lstat(path).st_mtime < _ABANDONED_AFTER
    except OSError:  # gone
        return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
