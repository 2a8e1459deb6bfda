"""Files that are whole or not there: write beside the target, fsync, rename.

Knows bytes, JSON and folders; knows nothing of what stands in them.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from tuillm.bounded import MB, read_object
from tuillm.errors import TuillmError
from tuillm.json_text import to_json
from tuillm.store.paths import ensure_dir

_LONGEST_JSON = 64 * MB


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; raises TuillmError when the disk refuses."""
    ensure_dir(path.parent)
    handle, temporary = -1, ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # a temporary file is private at first
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise disk_error(error, path) from None


def write_text(path: Path, content: str) -> None:
    """Replace `path` by UTF-8 text in one step."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by a JSON document in one step."""
    write_text(path, to_json(value, indent=2) + "\n")


def read_json(path: Path, most: int = _LONGEST_JSON) -> dict[str, Any]:
    """Return the JSON object in `path`; raises TuillmError when it is missing or damaged.

    So it does for one of more than `most` bytes.
    """
    return read_object(path, most)


def append_json(path: Path, value: Any) -> None:
    """Append one object as a line; a single write, so that lines of two writers never mix.

    A line that a crash or a full disk tore before is ended first, so that it spoils no other;
    one that another process is just writing may look torn, which costs an empty line.
    """
    line = (to_json(value) + "\n").encode()
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, b"\n" + line if torn else line)
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_error(error, path) from None


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; it becomes `target` when the block ends well.

    An existing target is replaced. When the block raises, nothing is left behind.
    """
    ensure_dir(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    staging = Path(name)
    try:
        os.fchmod(handle, 0o644)  # a temporary file is private at first
        os.close(handle)
        yield staging
        _sync_file(staging)
        os.replace(staging, target)
    except OSError as error:
        raise disk_error(error, target) from None
    finally:
        staging.unlink(missing_ok=True)


def copy_files(source: Path, folder: Path) -> None:
    """Copy what is in a folder into another one; raises TuillmError when the disk refuses.

    The copies are as readable as any new file, whatever the originals are.
    """
    try:
        shutil.copytree(source, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
    except shutil.Error as error:
        raise disk_error(OSError(str(error.args[0][0][2])), folder) from None


@contextmanager
def new_folder(
    target: Path, guard: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Path]:
    """Yield an empty folder beside `target` that becomes `target` when the block ends well.

    An existing target is replaced; an empty one that has to stay where it is is filled instead.
    When the block raises, nothing is left behind. `guard` is held while the folder is made and
    while it gets its name, and not in the long time between; an exception of its refuses either.
    Until then `in_the_making` tells that somebody fills it.
    """
    if empty := target.is_dir() and not any(target.iterdir()):
        target = target.resolve()  # a link to it stays one
    stays = empty and _has_to_stay(target)
    place = target if stays else target.parent
    ensure_dir(place)
    with guard():
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=place))
        handle = os.open(staging, os.O_RDONLY)
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        staging.chmod(0o755)
        yield staging
        _sync(staging)
        with guard():
            if stays:
                _move_up(staging)
            else:
                replace_folder(staging, target)
    except OSError as error:
        raise disk_error(error, target) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(handle)


def _has_to_stay(folder: Path) -> bool:
    """Whether another folder cannot take this one's place: a disk's root, or where we stand."""
    return folder.is_mount() or os.path.samefile(folder, ".") or not os.access(
        folder.parent, os.W_OK)


def _move_up(folder: Path) -> None:
    """Move what is in a folder to where the folder is."""
    for path in list(folder.iterdir()):
        os.rename(path, folder.parent / path.name)


def in_the_making(staging: Path) -> bool:
    """Whether a process that lives is filling this folder: its lock goes when it does."""
    try:
        handle = os.open(staging, os.O_RDONLY)
    except OSError:  # gone, or another user's
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def replace_folder(source: Path, target: Path) -> None:
    """Rename folder `source` to `target`, moving an existing target out of the way first."""
    if not target.exists():
        os.rename(source, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.rename(target, old / "folder")
    os.rename(source, target)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back what a crash in the middle of `replace_folder` left beside a missing folder."""
    if not path.exists():
        for old in path.parent.glob(f".{path.name}.old.*/folder"):
            os.rename(old, path)
            return


def remove_folder(path: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name."""
    gone = Path(tempfile.mkdtemp(prefix=f".{path.name}.gone.", dir=path.parent))
    os.rename(path, gone / "folder")
    shutil.rmtree(gone, ignore_errors=True)


def disk_error(error: OSError, path: Path) -> TuillmError:
    """Put what the disk said into one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TuillmError(f"no space left to write {path}", "free some space and try again")
    return TuillmError(f"cannot write {path}: {error.strerror or error}")


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            _sync_file(path)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
