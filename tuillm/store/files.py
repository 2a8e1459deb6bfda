"""Files that are whole or not there: write beside the target, fsync, rename.

So it is whatever ends the work, Ctrl-C and a lost process included. Files are as readable as the
umask says, or `private` to their owner. Knows bytes, JSON and folders; knows nothing of what
stands in them.
"""

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from tuillm.errors import DiskError, TuillmError
from tuillm.formats.bounded_read import MB, open_regular, read_object
from tuillm.formats.json_text import JsonObject, to_json
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.locks import Lock, Taken, inherited, is_held, take
from tuillm.store.paths import ensure_dir
from tuillm.store.temp_files import (
    discard,
    make_folder,
    sync_folder,
    temporary_file,
    temporary_folder,
)

_LONGEST_JSON = 64 * MB
_FULL = (errno.ENOSPC, errno.EDQUOT)
# what may be over in a while: a full disk, and one that fails, also one behind a network
_MAY_PASS = (*_FULL, errno.EIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace `path` by `content` in one step; raises TuillmError when the disk refuses.

    With `private` nobody but its owner can read it, nor look into its folder.
    """
    ensure_dir(path.parent, private=private)
    try:
        with uninterrupted(), temporary_file(path, private) as (temporary, handle):
            _write_all(handle, content)
            os.replace(temporary, path)
            sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path) from None


def write_new(path: Path, content: bytes, *, private: bool = False) -> bool:
    """Write a file of a name that is free, whole; return False where it is taken.

    Of two processes that write the same name one gets it. Raises TuillmError when the disk
    refuses.
    """
    ensure_dir(path.parent, private=private)
    try:
        with uninterrupted(), temporary_file(path, private) as (temporary, handle):
            _write_all(handle, content)
            _give_new_name(temporary, path)
            sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_error(error, path) from None
    return True


def write_text(path: Path, content: str, *, private: bool = False) -> None:
    """Replace `path` by UTF-8 text in one step."""
    write_bytes(path, content.encode(), private=private)


def make_private(path: Path) -> Path:
    """Let nobody but its owner read a file that others append to; make it if it is missing.

    Returns its path; raises TuillmError when the disk refuses.
    """
    ensure_dir(path.parent)
    try:
        handle = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_error(error, path) from None
    return path


def write_json(path: Path, value: object) -> None:
    """Replace `path` by a JSON document in one step."""
    write_text(path, to_json(value, indent=2) + "\n")


def read_json(path: Path, most: int = _LONGEST_JSON) -> JsonObject:
    """Return the JSON object in `path`; raises TuillmError when it is missing or damaged.

    So it does for one of more than `most` bytes.
    """
    return read_object(path, most)


def append_json(path: Path, value: object) -> None:
    """Append one object as a line; a single write, so that lines of two writers never mix.

    A line that a crash or a full disk tore before is ended first, so that it spoils no other;
    one that another process is just writing may look torn, which costs an empty line.
    """
    line = (to_json(value) + "\n").encode()
    try:
        with uninterrupted():
            handle = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                line = b"\n" + line if torn else line
                if os.write(handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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
    try:
        with temporary_file(target) as (staging, _):
            yield staging
            _sync_file(staging)
            with uninterrupted():
                os.replace(staging, target)
                sync_folder(target.parent)
    except OSError as error:
        raise disk_error(error, target) from None


@contextmanager
def new_folder(
    target: Path, guard: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Path]:
    """Yield an empty folder beside `target` that becomes `target` when the block ends well.

    An existing target is replaced; an empty one that has to stay where it is is filled instead.
    When the block raises, nothing is left behind. `guard` is held while the folder is made and
    while it gets its name, and not in the long time between; an exception of its refuses either.
    """
    if empty := target.is_dir() and not any(target.iterdir()):
        target = target.resolve()  # a link to it stays one
    stays = empty and _has_to_stay(target)
    beside = target / target.name if stays else target
    ensure_dir(beside.parent)
    try:
        with ExitStack() as made:
            with guard():
                staging = made.enter_context(temporary_folder(beside))
            yield staging
            _sync(staging)
            with guard(), uninterrupted():
                if stays:
                    _move_up(staging)
                else:
                    replace_folder(staging, target)
    except OSError as error:
        raise disk_error(error, target) from None


def _has_to_stay(folder: Path) -> bool:
    """Whether another folder cannot take this one's place: a disk's root, or where we stand."""
    return (
        folder.is_mount() or os.path.samefile(folder, ".") or not os.access(folder.parent, os.W_OK)
    )


def _move_up(folder: Path) -> None:
    """Move what is in a folder to where the folder is."""
    for path in list(folder.iterdir()):
        os.rename(path, folder.parent / path.name)
    sync_folder(folder.parent)


def first_free_name(folder: Path, paths: Iterable[Path]) -> Path:
    """Rename a folder to the first of `paths` that is free, and return that; OSError.

    Of two processes that want the same name one gets it.
    """
    for path in paths:
        try:
            os.rename(folder, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            sync_folder(path.parent)
            return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def replace_folder(source: Path, target: Path) -> None:
    """Rename folder `source` to `target`, moving an existing target out of the way first.

    Wherever the process dies, `recover_folder` finds the old one whole: of those that were moved
    out of the way there is never more than one while `target` is missing.
    """
    with uninterrupted():
        if not os.path.lexists(target):
            os.rename(source, target)
            sync_folder(target.parent)
            return
        for stale in _moved_away(target):
            discard(stale)
        old, lock = make_folder(target, "old")
        with lock:
            try:
                os.rename(target, old / "folder")
                _rename_or_undo(source, target, old / "folder")
                sync_folder(target.parent)
                discard(old)
            except OSError:
                with suppress(OSError):  # unless the old one is still in there
                    old.rmdir()
                raise


def _rename_or_undo(source: Path, target: Path, old: Path) -> None:
    """Rename `source` to `target`; put `old` back there where that fails."""
    try:
        os.rename(source, target)
    except OSError:
        os.rename(old, target)
        raise


def recover_folder(path: Path) -> None:
    """Put back what a crash in the middle of `replace_folder` left beside a missing folder.

    Of several, as earlier versions left them, it is the newest that is complete.
    """
    if os.path.lexists(path):
        return
    found = [old for old in _moved_away(path) if os.path.lexists(old / "folder")]
    if not found:
        return
    try:
        with uninterrupted():
            os.rename(max(found, key=_completeness) / "folder", path)
            sync_folder(path.parent)
            for old in found:
                discard(old)
    except OSError as error:
        raise disk_error(error, path) from None


def remove_folder(path: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name; raises TuillmError."""
    try:
        discard(path)
    except OSError as error:
        raise TuillmError(f"cannot remove {path}: {error.strerror}") from None


def _moved_away(path: Path) -> list[Path]:
    """Return the folders that hold an older `path`, but for those in a living process' hands."""
    return [
        old
        for old in path.parent.glob(f".{glob.escape(path.name)}.old.*")
        if is_held(old) is not True
    ]


def _completeness(old: Path) -> tuple[bool, int]:
    """What to compare folders by that were moved away: whole or not, and when that was.

    A folder is filled before it is moved; earlier versions removed it where it had been moved to,
    which its time tells where a crash came in between.
    """
    moved = old.stat().st_mtime_ns
    changed = [os.lstat(old / "folder").st_mtime_ns]
    changed += [path.lstat().st_mtime_ns for path in (old / "folder").rglob("*") if path.is_dir()]
    return max(changed) <= moved, moved


def hold(path: Path, refusal: Callable[[], TuillmError], wait: float = 0.0) -> Lock:
    """Take the lock of a file, or the one that this process was started with, and sign it.

    Raises what `refusal` returns when somebody else goes on holding it for `wait` seconds, and
    TuillmError when the disk refuses.
    """
    try:
        return (inherited(path) or take(path, wait)).signed()
    except Taken:
        raise refusal() from None
    except OSError as error:
        raise disk_error(error, path) from None


def disk_error(error: OSError, path: Path) -> DiskError:
    """Put what the disk said into one line."""
    if error.errno in _FULL:
        told = DiskError(f"no space left to write {path}", "free some space and try again")
    else:
        told = DiskError(f"cannot write {path}: {error.strerror or error}")
    told.may_pass = error.errno in _MAY_PASS
    return told


def _sync(folder: Path) -> None:
    sync_folder(folder)
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            _sync_file(path)


def _write_all(handle: int, content: bytes) -> None:
    """Write bytes and have them on the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    os.fsync(handle)


def _give_new_name(temporary: Path, path: Path) -> None:
    """Let a file have a second name that must be free; raises FileExistsError where it is not."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a disk that knows no links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(temporary, path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
