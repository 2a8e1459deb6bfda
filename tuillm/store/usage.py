"""Which models are in use, and by whom: a small file per user, ignored once its process is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.files import read_json, write_json
from tuillm.store.paths import data_dir
from tuillm.store.processes import ProcessId, this_process


@contextmanager
def using(model: str, purpose: str) -> Iterator[None]:
    """Mark a registered model as in use by this process, for `purpose` ('chat'), in the block."""
    me = this_process()
    mark = _folder(model) / f"{me.pid}-{os.urandom(3).hex()}.json"
    write_json(mark, {"pid": me.pid, "started": me.started, "purpose": purpose})
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)
        with suppress(OSError):
            mark.parent.rmdir()


def users_of(model: str) -> list[str]:
    """Return who uses a model now, each as 'chat (process 123)'; clears marks of the dead."""
    users = []
    for mark in sorted(_folder(model).glob("*.json")):
        try:
            entry = read_json(mark)
            alive = ProcessId(int(entry["pid"]), float(entry["started"])).alive
        except (TuillmError, KeyError, TypeError, ValueError):
            alive = False
        if alive:
            users.append(f"{entry.get('purpose', '?')} (process {entry['pid']})")
        else:
            mark.unlink(missing_ok=True)
    return users


def refuse_if_used(model: str, verb: str) -> None:
    """Raise TuillmError naming the users when a model is in use."""
    users = users_of(model)
    if users:
        raise TuillmError(
            f"cannot {verb} {model!r}: in use by {', '.join(users)}", "close it and try again"
        )


def _folder(model: str) -> Path:
    return data_dir() / "in-use" / model
