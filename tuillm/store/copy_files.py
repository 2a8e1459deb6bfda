"""Copies what is in a model's folder, and nothing that lies elsewhere.

A folder that somebody else made may hold links to any file of the person who copies it: what a
link leads to is copied only from within the folder. The folder itself may be a link, and the hub's
cache, whose folders are links to the blobs beside them, is one place. Knows files only.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error

_UNREADABLE = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO)
Copy = Callable[[Path, Path], object]


def copy_files(
    source: Path, folder: Path, *, leave_out: Collection[str] = (), copy: Copy = shutil.copyfile
) -> None:
    """Copy what is in a folder into another one, but for the names in `leave_out`.

    The copies are as readable as any new file, whatever the originals are. Raises TuillmError for
    what leads out of the folder, for what is neither file nor folder, and when the disk refuses.
    """
    source = Path(os.path.realpath(source))
    within = [source, *_blobs_of(source)]
    try:
        for path in _files_in(source, leave_out):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(_followed(path, within), target)
    except OSError as error:
        origin = Path(error.filename) if isinstance(error.filename, str) else folder
        if error.errno in _UNREADABLE and any(origin.is_relative_to(root) for root in within):
            raise TuillmError(f"cannot read {origin}: {error.strerror}") from None
        raise disk_error(error, folder) from None


def file_within(folder: Path, name: str) -> Path | None:
    """Return the file of that name in a folder, what a link leads to; None where there is none.

    Raises TuillmError for a link that leads out of the folder, and for what is no file.
    """
    source = Path(os.path.realpath(folder))
    path = source / name
    return _followed(path, [source, *_blobs_of(source)]) if os.path.lexists(path) else None


def link_or_copy(origin: Path, target: Path) -> None:
    """Have a file at a second place too, for no room where the disk knows links, else by a copy.

    For files that are replaced and never changed in place, as all of ours are.
    """
    try:
        os.link(origin, target)
    except OSError:
        shutil.copyfile(origin, target)


def _files_in(folder: Path, leave_out: Collection[str] = ()) -> Iterator[Path]:
    """Yield every file, folder by folder; links are not gone into."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name in leave_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_in(Path(entry.path))
        else:
            yield Path(entry.path)


def _followed(path: Path, within: list[Path]) -> Path:
    """Return the file that `path` is or leads to; raises TuillmError where it must not be taken."""
    found = Path(os.path.realpath(path))  # in a circle it leads to nothing
    if not found.exists():
        raise TuillmError(f"{path} is a link to nothing", "take the link away")
    if not any(found.is_relative_to(root) for root in within):
        raise TuillmError(
            f"{path} is a link that leads out of the model's folder, to {found}",
            "put the file itself in its place, or take the link away",
        )
    if not stat.S_ISREG(os.stat(found).st_mode):
        raise TuillmError(f"{path} is no file", "take it away, or put a file in its place")
    return found


def _blobs_of(folder: Path) -> list[Path]:
    """Return where the files of `.../snapshots/COMMIT` lie in the cache of the hub's own client."""
    blobs = folder.parents[1] / "blobs" if folder.parent.name == "snapshots" else None
    return [blobs] if blobs and blobs.is_dir() and not blobs.is_symlink() else []
