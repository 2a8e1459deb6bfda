"""Where tuillm keeps things: one data directory, which TUILLM_HOME replaces.

Without TUILLM_HOME these are the platform's own user data, cache and config directories.
"""

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

from tuillm.errors import DiskError, UsageError
from tuillm.user_paths import user_path


def data_dir() -> Path:
    """The directory of models and runs."""
    return _home("") or Path(_platform().user_data_dir)


def cache_dir() -> Path:
    """The directory of what can be made again: downloads and token files."""
    return _home("cache") or Path(_platform().user_cache_dir)


def config_dir() -> Path:
    """The directory of what a person wrote: themes, key maps."""
    return _home("config") or Path(_platform().user_config_dir)


def models_dir() -> Path:
    """The model registry: a folder a model."""
    return data_dir() / "models"


def runs_dir() -> Path:
    """All runs: a folder a run."""
    return data_dir() / "runs"


def pulls_dir() -> Path:
    """What is being fetched from the hub: a folder a pull."""
    return data_dir() / "pulls"


def history_file() -> Path:
    """What a person typed in the chat."""
    return data_dir() / "history"


def themes_dirs() -> list[Path]:
    """Folders that hold themes: the shipped ones first, then the person's own."""
    package = Path(__file__).parents[1]
    shipped = package / "_themes"
    # an editable install has no copy inside the package: the themes stand beside it
    return [shipped if shipped.is_dir() else package.parent / "themes", config_dir() / "themes"]


def demo_book() -> Path:
    """The book that comes with tuillm."""
    return Path(__file__).parents[1] / "text" / "books" / "the-salt-road.txt"


def ensure_dir(path: Path, *, private: bool = False) -> Path:
    """Create a directory of ours and return it; raises DiskError when it cannot be written.

    With `private` nobody but its owner can look into it, even if it was open before.
    """
    try:
        path.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
        if private and path.stat().st_mode & 0o077:
            path.chmod(0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        ours = data_dir(), cache_dir(), config_dir()
        in_the_way = isinstance(error, NotADirectoryError | FileExistsError)
        hint = (
            "set TUILLM_HOME to a directory of yours"
            if any(map(path.is_relative_to, ours))
            else "a file is in the way"
            if in_the_way
            else "choose another folder"
        )
        raise DiskError(f"cannot write to {path}: {error.strerror}", hint) from None
    return path


@cache
def passing_dir() -> Path:
    """A directory that ends with this process, for what has no room in the cache."""
    folder = tempfile.TemporaryDirectory(prefix="tuillm-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _home(part: str) -> Path | None:
    home = os.environ.get("TUILLM_HOME")
    return _folder_named(home) / part if home else None


@cache
def _folder_named(home: str) -> Path:
    try:
        return user_path(home).absolute()
    except UsageError as error:
        raise UsageError(f"TUILLM_HOME is no folder: {error.message}", error.hint) from None


def _platform() -> platformdirs.PlatformDirs:
    return platformdirs.PlatformDirs("tuillm", appauthor=False)
