"""Whether replies are being generated on this machine: each says so by a file that it keeps fresh.

Training waits between two steps meanwhile: the chat comes first. A file that was not touched for a
while is of a reply that waits for a person, or of a process that is gone. Knows no torch.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tuillm.store.paths import data_dir

# seconds between two touches at most, and after which a reply has ended with its process, or waits
# for a person: reading a long prompt takes a while, too
_EVERY, _OVER = 0.25, 20.0
_numbers = count()


class ActiveReply:
    """One reply that is being generated."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._touched = file, 0.0
        self.go_on()

    def go_on(self) -> None:
        """Say that it is still going on; to be called at each token."""
        now = time.monotonic()
        if self._file is not None and now - self._touched >= _EVERY:
            self._touched = now
            with suppress(OSError):
                self._file.touch()
                times = time.time(), time.time()  # by this machine's clock, on any disk
                os.utime(self._file, times)

    def end(self) -> None:
        """Say that it is over."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)


@contextmanager
def active_reply() -> Iterator[ActiveReply]:
    """Say that a reply is being generated until the block is left. A disk may refuse that."""
    file: Path | None = _folder() / f"{os.getpid()}-{next(_numbers)}"
    try:
        _folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        file = None
    reply = ActiveReply(file)
    try:
        yield reply
    finally:
        reply.end()


def replying() -> bool:
    """Whether a reply is being generated now, by any process of this data directory."""
    try:
        entries = list(os.scandir(_folder()))
    except OSError:
        return False
    return any(_is_fresh(entry) for entry in entries)


def _is_fresh(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        age = time.time() - entry.stat().st_mtime
        if -_OVER <= age <= _OVER:
            return True
        if age > 3600:  # left by a process that was killed
            os.unlink(entry.path)
    return False


def _folder() -> Path:
    return data_dir() / "replying" / socket.gethostname()
