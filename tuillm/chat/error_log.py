"""Errors that nobody foresaw: a line for the person, and all of it in a log in the data folder.

Knows tracebacks and the log; what goes on after such an error is its callers' business.
"""

import os
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path

from tuillm.errors import TuillmError, one_line
from tuillm.store.paths import data_dir
from tuillm.terminal.ending import ended_with, terminal_gone

_LONGEST = 200
_LARGEST_LOG = 1 << 20


def errors_log() -> Path:
    """Where tracebacks go."""
    return data_dir() / "errors.log"


def unexpected(error: Exception) -> TuillmError:
    """Return what to tell of an error that is a fault of ours; its traceback goes to the log.

    Raises SystemExit instead where the window has been closed: whatever fails then is no fault.
    """
    if ended_with() or terminal_gone():
        raise SystemExit(ended_with() or 128 + signal.SIGHUP)
    said = one_line(str(error))[:_LONGEST]
    words = f"{type(error).__name__}: {said}" if said else type(error).__name__
    hint = ""
    with suppress(OSError):
        _append("".join(traceback.format_exception(error)))
        hint = f"a fault of tuillm's, told in full in {errors_log()}"
    return TuillmError(f"that went wrong: {words}", hint)


def _append(text: str) -> None:
    path = errors_log()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n")
