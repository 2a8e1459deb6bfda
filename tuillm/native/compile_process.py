"""`python -m tuillm.native.compile_process`: compiles the library, checks it, and puts it in place.

What cannot be compiled, or computes something else than PyTorch, is noted and not tried again.
"""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

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

    Where another process is at it, wait for that so many seconds.
    """
    if not wanted() or failure() is not None or library_path().exists():
        return
    ensure_dir(library_path().parent)
    with suppress(Taken), take(library_path().with_suffix(".lock"), wait):
        if not library_path().exists() and (reason := compile_library()) is not None:
            write_text(failure_path(), reason + "\n")


def compile_library() -> str | None:
    """Make the library; return None, or in a line why there is none."""
    target = library_path()
    ensure_dir(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        reason = _compile(made) or _check(made)
        if reason is None:
            os.replace(made, target)
    return reason


def _compile(target: Path) -> str | None:
    program = compiler()
    if program is None:
        return "no C compiler (cc, gcc or clang)"
    given = ["-std=gnu11", *flags(), "-fPIC", "-shared", "-pthread"]
    return _run([program, *given, str(SOURCE), "-o", str(target), "-lm"], "the C compiler")


def _check(made: Path) -> str | None:
    """In a process of its own: what is wrong could end it."""
    return _run(module_command("tuillm.model.check_native", str(made)), "its check")


def _run(command: list[str], what: str) -> str | None:
    try:
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
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{what} did not run: {type(error).__name__}"
    errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
    return f"{what} failed: {(errors or [str(done.returncode)])[0]}" if done.returncode else None


def main() -> None:
    """Make the library, at low priority; note why where it cannot be."""
    with suppress(OSError, AttributeError):
        os.nice(10)
    compile_once()


if __name__ == "__main__":
    main()
