"""Where the page to share is written: a new file, or one that was an older page of ours.

Knows paths and how a page of ours begins; what stands on it is `html_page`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from tuillm.errors import UsageError, printable, shorten
from tuillm.store.files import write_text
from tuillm.store.workers.exploration_record import Exploration
from tuillm.text_report.html_page import PAGE_START, page_of
from tuillm.urls import is_remote
from tuillm.user_paths import user_path


def page_target(typed: str, texts: Iterable[str]) -> Path:
    """Return the file that a page is to be written to, by the name that a person typed.

    Raises UsageError for a folder and where anything but such a page is there, as are the `texts`
    that were looked at.
    """
    path = Path(os.path.realpath(user_path(typed)))
    shown = shorten(printable(typed))
    if path.is_dir():
        raise UsageError(f"{shown} is a directory", "name a file, such as text.html")
    if not os.path.lexists(path):
        return path
    begins = b"another file"
    if path.is_file() and path not in _paths(texts):
        try:
            with path.open("rb") as file:
                begins = file.read(len(PAGE_START))
        except OSError as error:
            raise UsageError(f"cannot read {shown}: {error.strerror}") from None
    if begins not in (PAGE_START.encode(), b""):
        raise UsageError(
            f"{shown} is there already and was not written by tuillm explore",
            "name another, such as text.html",
        )
    return path


def write_page(path: Path, seen: Exploration) -> None:
    """Write the page of an exploration, whole or not at all; raises DiskError."""
    write_text(path, printable(page_of(seen)))


def _paths(texts: Iterable[str]) -> set[Path]:
    return {Path(os.path.realpath(user_path(text))) for text in texts if not is_remote(text)}
