"""How long processes take: to their end, or to the first byte that they print."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from tuillm.errors import TuillmError, one_line, printable

# how tuillm waits for its threads is no setting of other programs
_OURS_ALONE = ("GOMP_SPINCOUNT",)


def seconds_to_end(command: Sequence[str]) -> float:
    """Run a command to its end and return the seconds it took. Raises TuillmError if it fails."""
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    passed = time.perf_counter() - begin
    if done.returncode:
        raise _failed(command, done.returncode, done.stderr)
    return passed


def seconds_to_first_byte(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command to its end; return the seconds until it printed its first byte.

    `environment` stands over that of this process. Raises TuillmError if it fails or prints
    nothing.
    """
    inherited = {key: value for key, value in os.environ.items() if key not in _OURS_ALONE}
    begin = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=inherited | dict(environment),
    ) as process:
        assert process.stdout
        first = process.stdout.read(1)
        passed = time.perf_counter() - begin
        process.stdout.read()
    if not first or process.returncode:
        raise _failed(command, process.returncode, b"")
    return passed


def _failed(command: Sequence[str], code: int, told: bytes) -> TuillmError:
    lines = printable(told.decode(errors="replace")).strip().splitlines()
    words = f": {one_line(lines[-1]):.200}" if lines else ""
    return TuillmError(f"{' '.join(command[1:4]):.200} ended with {code}{words}")
