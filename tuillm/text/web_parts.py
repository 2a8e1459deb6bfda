"""Where a download is written: a file that is gone on with when it breaks off, or a passing one.

A part stays only while it is known which version of the file it is of. Knows files and locks;
fetches nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tuillm.store.locks import Taken, take
from tuillm.store.temp_files import clear_leftovers, temporary_file

_PART, _VALIDATOR = ".part", ".part-version"
_LONGEST = 1_000


class PartFile:
    """A file that is being fetched; `validator` names the version that it is a part of."""

    def __init__(self, path: Path, validator_file: Path | None) -> None:
        self.path, self.done = path, False
        self._file = validator_file
        self.validator = _read(validator_file) if validator_file else ""

    def keep(self, validator: str) -> None:
        """Say of which version the first byte is about to be written; of '' no part is of use.

        Raises OSError.
        """
        if self._file and not self.done and validator != self.validator:
            self._file.unlink(missing_ok=True)
            if validator:
                self._file.write_text(validator, encoding="latin-1")
            self.validator = validator

    def give_up(self) -> None:
        """Keep nothing of it."""
        self.validator = ""

    def become(self, target: Path) -> None:
        """Take the target's place; raises OSError."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.done = True
        if self._file:
            self._file.unlink(missing_ok=True)
        os.replace(self.path, target)


@contextmanager
def part_file(target: Path) -> Iterator[PartFile]:
    """Yield where to write what becomes `target`: with what has come of it before, if anything.

    While another process writes the part, it is a file that goes at the end. Raises OSError.
    """
    clear_leftovers(target.parent)
    part = target.parent / _PART
    try:
        lock = take(part)
        if lock.fd is None:  # a disk that keeps nobody out
            raise Taken
    except Taken:
        with temporary_file(target) as (path, _):
            yield PartFile(path, None)
        return
    with lock:
        kept = PartFile(part, target.parent / _VALIDATOR)
        try:
            if not kept.validator:
                os.truncate(part, 0)
            yield kept
        finally:
            whole, kept.done = kept.done, True
            # what is whole may have made room for the part of another process
            if not whole and not (kept.validator and _size(part)):
                for path in (part, target.parent / _VALIDATOR):
                    with suppress(OSError):
                        path.unlink()


def _read(path: Path) -> str:
    try:
        with path.open(encoding="latin-1", newline="") as file:
            return file.read(_LONGEST)
    except OSError:
        return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
