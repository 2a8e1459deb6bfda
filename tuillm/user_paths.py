"""A path as a person types it, made one that every later look at the disk may use.

Knows the home directory and what a file system refuses; does not know what a path is for.
"""

import errno
import os
from pathlib import Path

from tuillm.errors import UsageError, shorten
from tuillm.urls import is_url, public_url

_HINTS = {
    errno.EACCES: "check the permissions of the folders above it",
    errno.ENAMETOOLONG: "a name has at most 255 bytes",
    errno.ELOOP: "its symbolic links lead in a circle",
}


def user_path(text: str | os.PathLike[str]) -> Path:
    """Return the path that a person typed, `~` and `~name` expanded; it need not exist.

    Raises UsageError for one that cannot be looked at: an empty one, an unknown `~name`, a
    name that is too long, a folder that may not be entered, a NUL or half a surrogate pair in it.
    Whatever comes back can be asked `exists()`, `is_dir()` and `is_file()`, which raise OSError for
    the paths refused here.
    """
    typed = os.fspath(text)
    if not typed:
        raise UsageError("a path was left empty", "is a variable of the shell not set?")
    if "\0" in typed:
        raise UsageError(f"{typed!r} is no path", "a path cannot hold a NUL character")
    try:
        os.fsencode(typed)
    except UnicodeEncodeError:  # one that Python's own code has made: none that is typed has them
        raise UsageError(
            f"{shorten(typed)!a} is no path", "a path cannot hold half a surrogate pair"
        ) from None
    if is_url(typed):
        raise UsageError(
            f"{shorten(public_url(typed))} is an address, and this must be a path",
            "fetch it first, or name a file or folder on this machine",
        )
    path = Path(os.path.expanduser(typed))
    try:
        os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise UsageError(
                f"cannot look at {shorten(typed)}: {error.strerror}",
                _HINTS.get(error.errno or 0, ""),
            ) from None
        if typed.startswith("~") and str(path) == str(Path(typed)):
            user = typed[1:].partition("/")[0]
            raise UsageError(
                f"{shorten(typed)}: there is no user {shorten(user)!r} here",
                f"a file of that name: ./{shorten(typed)}",
            ) from None
    return path


def path_problem(text: str | os.PathLike[str]) -> str:
    """Return why `user_path` refuses a path, in words, or ''."""
    try:
        user_path(text)
    except UsageError as error:
        return str(error)
    return ""


def current_folder() -> Path:
    """Return the current folder, or the home directory where somebody has removed it."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.path.expanduser("~"))


def name_temp_dir() -> None:
    """Let Python name a directory for temporary files although none can be written to.

    Libraries that torch loads where they are installed (dill) ask for one while they are imported:
    a full disk would be the end of a chat that writes nothing.
    """
    import tempfile

    try:
        tempfile.gettempdir()
    except OSError:
        tempfile.tempdir = os.curdir
