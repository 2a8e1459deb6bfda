"""Which models are in use, and by whom: a small file per user, which its user holds locked.

A model is its folder, however it is reached: by name, by path or by a link. Where no mark can be
written, on a read-only or a full disk, a model is used without one.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tuillm.errors import TuillmError, printable
from tuillm.formats.json_text import to_json
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.files import disk_error, read_json
from tuillm.store.paths import data_dir, ensure_dir, models_dir
from tuillm.store.process_id import ProcessId, this_process
from tuillm.store.temp_files import clear_leftovers, temporary_file
from tuillm.store.workers.processes import owner_lives

_warned: set[Path] = set()


@contextmanager
def using(model: str | Path, purpose: str) -> Iterator[None]:
    """Mark a model as in use by this process, for `purpose` ('chat'), in the block.

    `model` is a name of the registry, or the path of a model's folder. Where the mark cannot be
    written that is said on stderr, once, and the block is run without.
    """
    with ExitStack() as marks:
        for attempt in range(3):
            try:
                marks.enter_context(_marked(_folder(model), purpose))
                break
            except FileNotFoundError as error:  # the last user has just taken its folder away
                if attempt == 2:
                    _warn(disk_error(error, _folder(model)))
            except TuillmError as error:
                _warn(error)
                break
        yield


def users_of(model: str | Path) -> list[str]:
    """Return who uses a model now, each as 'chat (process 123)'; clears marks of the dead."""
    users = []
    folder = _folder(model)
    for mark in sorted(folder.glob("*.json")):
        try:
            entry = read_json(mark)
            process = ProcessId(int(entry["pid"]), float(entry.get("started", 0.0)))
            alive = owner_lives(mark, process)
        except (TuillmError, KeyError, TypeError, ValueError):
            alive = False
        if alive:
            users.append(f"{entry.get('purpose', '?')} (process {entry['pid']})")
        else:
            with suppress(OSError):
                mark.unlink()
    clear_leftovers(folder)
    return users


def refuse_if_used(model: str, verb: str) -> None:
    """Raise TuillmError naming the users when a model is in use."""
    users = users_of(model)
    if users:
        raise TuillmError(
            f"cannot {verb} {model!r}: in use by {', '.join(users)}", "close it and try again"
        )


@contextmanager
def _marked(folder: Path, purpose: str) -> Iterator[None]:
    """Hold a mark in the block; raises TuillmError where it cannot be written.

    FileNotFoundError comes where the folder went away in this very moment.
    """
    me = this_process()
    mark = ensure_dir(folder) / f"{me.pid}-{os.urandom(3).hex()}.json"
    text = to_json({"pid": me.pid, "started": me.started, "purpose": purpose})
    with ExitStack() as held:
        try:
            with uninterrupted():
                temporary, handle = held.enter_context(temporary_file(mark))
                os.write(handle, text.encode())
                os.rename(temporary, mark)
                held.callback(_remove, mark)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise disk_error(error, mark) from None
        yield


def _remove(mark: Path) -> None:
    with suppress(OSError):
        mark.unlink(missing_ok=True)
        mark.parent.rmdir()


def _warn(error: TuillmError) -> None:
    """Say on stderr, once for each data directory, that models are used without a mark."""
    if data_dir() not in _warned and sys.stderr is not None:
        _warned.add(data_dir())
        with suppress(OSError, ValueError):
            print(
                f"note: {printable(error.message)}; others do not see which models are in use",
                file=sys.stderr,
                flush=True,
            )


def _folder(model: str | Path) -> Path:
    """Return where the marks of a model lie: by its name, and by which folder it is."""
    path = model if isinstance(model, Path) else models_dir() / model
    path = Path(os.path.realpath(path))
    key = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return data_dir() / "in-use" / f"{path.name[:20]}-{key}"
