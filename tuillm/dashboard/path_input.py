"""Paths as people type, paste and drop them: quoted, escaped, with ~ or as file:// addresses.

Knows text and the file system; draws nothing.
"""

import os
import shlex
from pathlib import Path
from urllib.parse import unquote

from textual.suggester import Suggester


def split_paths(text: str) -> list[str]:
    """The paths and addresses of a line; a whole line that is a path with spaces is one.

    >>> split_paths("'My Book.txt' other.txt")
    ['My Book.txt', 'other.txt']
    """
    text = text.strip()
    if os.path.exists(whole := _expanded(text)):
        return [whole]
    try:
        parts = shlex.split(text)
    except ValueError:  # an apostrophe
        return [text]
    return [_expanded(part) for part in parts]


def join_paths(paths: list[str]) -> str:
    """The line from which `split_paths` gives these paths back."""
    return shlex.join(paths)


def first_path(text: str) -> Path | None:
    """The first file or folder of a line that is there, with all its folders; None without one."""
    for path in split_paths(text):
        try:
            if os.path.exists(path):
                return Path(os.path.abspath(path))
        except (OSError, ValueError):
            pass
    return None


def dropped_paths(text: str) -> str:
    """The line for files dropped on the terminal, or '' when the text names no existing file."""
    paths = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("file://"):
            host_and_path = unquote(line.removeprefix("file://"))
            paths.append(host_and_path[max(host_and_path.find("/"), 0) :])
        elif line:
            paths += split_paths(line)
    if not paths or not all(os.path.exists(path) for path in paths):
        return ""
    return join_paths(paths)


class PathSuggester(Suggester):
    """Completes the last path of a line from the file system, directories with a slash."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the line with its last path completed, None when nothing fits."""
        if not value or value.endswith((" ", "'", '"')):
            return None
        start = max(value.rfind(" ") + 1, 0)
        typed = value[start:].lstrip("'\"")
        if not typed or "://" in typed:
            return None
        path = Path(_expanded(typed))
        folder, beginning = (path, "") if typed.endswith("/") else (path.parent, path.name)
        try:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in os.scandir(folder)
                if entry.name.startswith(beginning)
                and not (entry.name.startswith(".") and not beginning)
            )
        except (OSError, ValueError):  # no such folder; a NUL in its name
            return None
        return value + names[0][len(beginning) :] if names else None


def _expanded(path: str) -> str:
    """A path with the home folder for its ~; a name that no user can have stays as it is."""
    try:
        return os.path.expanduser(path)
    except ValueError:  # a NUL
        return path
