"""`python -m tuillm.native.compile_process`: compiles the library, checks it, and puts it in place.

What cannot be compiled, or computes something else than PyTorch, is noted and not tried again.
"""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.native.compiled import (
    SOURCE,
    compiler,
    failure,
    failure_path,
    flags,
    library_path,
    wanted,
)
from tuillm.store.files import write_text
from tuillm.store.locks import Taken, take
from tuillm.store.paths import ensure_dir
from tuillm.store.workers.processes import module_command, module_environment

_LONGEST = 300.0  # seconds
_MOST = 100_000  # bytes of what the compiler says


def compile_once(wait: float = 0.0) -> None:
    """Make the library if it is wanted and was not tried; note why where it cannot be made.

    Where another process is at it, wait for that so many seconds. What another try may do better,
    as a full disk, is left for then.
    """
    path = library_path()
    if not wanted() or failure() is not None or path.exists():
        return
    passing = (Taken, OSError, TuillmError, subprocess.TimeoutExpired)
    with suppress(*passing), take(ensure_dir(path.parent) / f"{path.stem}.lock", wait):
        if not path.exists() and (reason := compile_library()) is not None:
            write_text(failure_path(), reason + "\n")


def compile_library() -> str | None:
    """Make the library; return None, or in a line why it cannot be made here.

    Raises OSError or TimeoutExpired for what another try may do better.
    """
    target, command = library_path(), compiler()
    if command is None:
        raise FileNotFoundError("no C compiler")
    with tempfile.TemporaryDirectory(dir=ensure_dir(target.parent)) as folder:
        made = Path(folder) / target.name
        given = ["-std=gnu11", *flags(), "-fPIC", "-shared", "-pthread"]
        compiling = [*command, *given, str(SOURCE), "-o", str(made), "-lm"]
        # what it computes is tried in a process of its own, which it could end
        checking = module_command("tuillm.model.check_native", str(made))
        reason = _run(compiling, "the C compiler") or _run(checking, "its check")
        if reason is None:
            os.replace(made, target)
    return reason


def _run(command: list[str], what: str) -> str | None:
    with tempfile.TemporaryFile() as told:
        done = subprocess.run(
            command,
            env=module_environment(),
            stdin=subprocess.DEVNULL,
            stderr=told,
            timeout=_LONGEST,
            check=False,
        )
        told.seek(0)
        lines = told.read(_MOST).decode("utf-8", "replace").strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
    return f"{what} failed: {(errors or [str(done.returncode)])[0]}" if done.returncode else None


def main() -> None:
    """Make the library."""
    compile_once()


if __name__ == "__main__":
    main()
