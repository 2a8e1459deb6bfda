"""Stdin, stdout and stderr, made safe before anything is read or written.

Whatever the shell has done with them: closed, of another encoding than UTF-8, read by a program
that ends early. Knows streams; does not know what is written.
"""

import io
import os
import sys
from contextlib import suppress

from tuillm.errors import TuillmError


def prepare_streams() -> None:
    """Make all three streams usable; raises TuillmError where stdout is closed.

    A closed stdin cannot be read (OSError), what goes to a closed stderr is lost. The numbers 0, 1
    and 2 are taken in any case: a file opened later must not become stdout. Characters that an
    encoding does not have become '?', bytes that it does not know U+FFFD.
    """
    closed = [handle for handle in range(3) if not _take(handle)]
    for handle, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(handle, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        _relax(getattr(sys, name))
    if 1 in closed:
        raise TuillmError(
            "stdout is closed, and there is nowhere to write to",
            "tuillm ... >/dev/null throws it away",
        )


def finish_streams() -> None:
    """Write out what waits; raises OSError where that does not work, BrokenPipeError for one."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def mute_streams() -> None:
    """Throw away from now on what goes to a stream that cannot take what waits for it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def takes_utf8(stream: object) -> bool:
    """Whether every character can be written to a stream."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-") in (
        "utf-8",
        "utf8",
    )


def _take(handle: int) -> bool:
    """Whether a descriptor is open; one that is not is put where it does no harm."""
    try:
        os.fstat(handle)
        return True
    except OSError:
        # the lowest free number is given: this one; what cannot be read or written says so
        os.open(os.devnull, os.O_WRONLY if handle == 0 else os.O_RDWR)
        return False


def _relax(stream: object) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
