"""Looks for the longest repeat in a process of its own, beside all else that is counted.

`python -P -m tuillm.text.statistics.repeat_process KIND SEPARATOR` reads the characters as numbers
on stdin and prints the match as JSON. (A thread would wait for each lock that counting words
holds.) A short text is looked at in this process.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from tuillm.errors import TuillmError
from tuillm.store.files import disk_error
from tuillm.store.workers.json_lines import last_line, read_answer
from tuillm.store.workers.processes import module_command, module_environment
from tuillm.text.progress_tick import Tick
from tuillm.text.statistics.longest_repeat import Match, longest_repeat

_INLINE = 4_000_000
_STAGE = "looking for repeats"


class RepeatSearch:
    """The search for the longest repeat of a text, which goes on within a `with` block."""

    def __init__(self, ids: np.ndarray, separator: int) -> None:
        """Start it; raises TuillmError where the disk has no room for the text."""
        self._process: subprocess.Popen[bytes] | None = None
        self._files: list[BinaryIO] = []
        if len(ids) <= _INLINE:
            self._inline = ids, separator
            return
        folder = Path(tempfile.gettempdir())
        try:
            self._files = [tempfile.TemporaryFile(dir=folder) for _ in range(3)]
            text, self._told, self._errors = self._files
            ids.tofile(text)
            text.seek(0)
            self._process = subprocess.Popen(
                module_command(__name__, ids.dtype.name, str(separator)),
                env=module_environment(),
                stdin=text,
                stdout=self._told,
                stderr=self._errors,
            )
        except OSError as error:
            self._end()
            raise disk_error(error, folder) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def result(self, tick: Tick) -> Match:
        """Wait for the match; what `tick` raises ends the search.

        Raises TuillmError where the process broke off.
        """
        if self._process is None:
            return longest_repeat(*self._inline, tick)
        while self._process.poll() is None:
            tick(_STAGE, 0.9)
            time.sleep(0.05)
        if self._process.returncode:
            raise TuillmError(
                f"looking for repeats broke off (exit code {self._process.returncode}): "
                f"{last_line(self._errors) or 'it said nothing'}",
                "is there enough memory? a part of the text needs less",
            )
        self._told.seek(0)
        lines = (line.decode("utf-8", "replace") for line in self._told)
        length, first, second = read_answer(lines, "looking for repeats")["match"]
        return length, first, second

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for file in self._files:
            file.close()


def main(arguments: list[str]) -> int:
    """Read the characters on stdin, print the match as JSON; return the exit code."""
    ids = np.fromfile(open(0, "rb", closefd=False), arguments[0])
    print(json.dumps({"match": longest_repeat(ids, int(arguments[1]))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
