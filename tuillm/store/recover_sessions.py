"""Conversations that a crash left beside their files, written whole but not yet named.

Knows the files of `store.sessions`, and of their trees only which texts stand in them.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.sessions import (
    SavedSession,
    SessionHead,
    session_of,
    session_path,
    sessions_dir,
    sessions_lock,
    write_under_new_id,
)
from tuillm.store.temp_files import leftovers

_NAMED = re.compile(r"\.(.+)\.json\.(new\.)?[a-z0-9_]{8}")


def recover_sessions() -> list[SessionHead]:
    """Name the conversations that were left without one, and return them; remove what is empty.

    One that says nothing beyond what its file says is removed, too; one that goes on from its file
    replaces it, another gets an id of its own. Where that cannot be done all stays as it is.
    """
    if not leftovers(sessions_dir(), before=True) and not any(_empty()):
        return []
    found = []
    with suppress(TuillmError, OSError), uninterrupted(), sessions_lock():
        # none is being written now: all are left from others
        for path in leftovers(sessions_dir(), before=True):
            # one that holds other things than a conversation stays, and is in nobody's way
            with suppress(TypeError, ValueError, OverflowError, AttributeError):
                if (match := _NAMED.fullmatch(path.name)) and (head := _recovered(path, match[1])):
                    found.append(head)
        for path in _empty():
            path.unlink()
    return found


def _recovered(path: Path, id: str) -> SessionHead | None:
    """Give a file its name, or another; None when there is nothing in it that is not known."""
    content = path.read_bytes()
    lost, known = _read(content, path), _known(session_path(id))
    if lost is None:  # torn: what it was to replace is there still
        if known is not None or not content:
            path.unlink()
        return None
    said, before = _texts(lost).items(), _texts(known).items() if known else set()
    if said <= before:
        path.unlink()
        return None
    if before <= said and (known or not _holds_something(session_path(id))):
        os.replace(path, session_path(id))
    else:
        id = write_under_new_id(content, lost.head.model, lost.head.updated)
        path.unlink()
    return replace(lost.head, id=id)


def _known(path: Path) -> SavedSession | None:
    try:
        return _read(path.read_bytes(), path)
    except OSError:
        return None


def _read(content: bytes, path: Path) -> SavedSession | None:
    try:
        return session_of(content, path)
    except TuillmError:
        return None


def _texts(session: SavedSession) -> dict[tuple[object, object], str]:
    """All that was said and replied, by which and when."""
    nodes = session.tree.get("nodes")
    return {
        (node.get("id"), node.get("created")): str(node.get("text"))
        for node in (nodes if isinstance(nodes, list) else [])
        if isinstance(node, dict)
    }


def _empty() -> Iterator[Path]:
    """Yield the files that earlier versions took an id with, and never filled."""
    with suppress(OSError):
        for path in sorted(sessions_dir().glob("[!.]*.json")):
            if not _holds_something(path):
                yield path


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
