"""The compiled library of this machine: where it is, whether it is there, and how it comes to be.

Compiled once for this very processor, in a process of its own and in the background; loading a
model never waits for it. `TUILLM_NATIVE=0` does without. Knows no PyTorch.
"""

import hashlib
import os
import shlex
import shutil
from functools import cache
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.native.library import Library
from tuillm.store.paths import cache_dir, ensure_dir
from tuillm.store.processor import processor_key
from tuillm.store.workers.processes import start_detached

SOURCE = Path(__file__).with_name("forward.c")
_FLAGS = "-O3 -march=native"
_COMPILERS = ("cc", "gcc", "clang")

_loaded: dict[Path, Library] = {}


def library() -> Library | None:
    """Return the library if it has been compiled and is wanted; None: do without it."""
    return None if not wanted() else _load(library_path())


def wanted() -> bool:
    """Whether the person has left it on: `TUILLM_NATIVE` is not 0."""
    return os.environ.get("TUILLM_NATIVE", "1") != "0"


def start_compiling() -> bool:
    """Compile it in the background if it is wanted, not there, and did not fail before.

    Returns whether a process was started. Never raises: there is another way without it.
    """
    try:
        target = library_path()
        if not wanted() or target.exists() or failure() is not None or compiler() is None:
            return False
        ensure_dir(target.parent)
        start_detached("tuillm.native.compile_process", [], target.with_suffix(".log"))
        return True
    except (OSError, TuillmError):
        return False


def state() -> str:
    """In words: compiled, off, without a compiler, failed and why, or not compiled yet."""
    if not wanted():
        return "off by TUILLM_NATIVE=0"
    if library() is not None:
        return f"compiled ({' '.join(flags())})"
    reason = failure()
    if reason is not None:
        return f"not in use: {reason}"
    return "not compiled yet" if compiler() else "no C compiler (cc, gcc or clang)"


def compiler() -> list[str] | None:
    """The command of the C compiler: CC, or the first there is of cc, gcc and clang."""
    given = shlex.split(os.environ.get("CC", ""))
    commands = [given] if given else [[name] for name in _COMPILERS]
    for name, *options in commands:
        if path := shutil.which(name):
            return [path, *options]
    return None


def flags() -> list[str]:
    """What the compiler is told of the processor; `TUILLM_CFLAGS` replaces it."""
    return shlex.split(os.environ.get("TUILLM_CFLAGS", _FLAGS))


def library_path() -> Path:
    """Where the library for this source, these flags and this processor lies, or will."""
    parts = [processor_key(), *flags()]
    key = hashlib.sha256("\n".join(parts).encode() + _source()).hexdigest()[:16]
    folder = os.environ.get("TUILLM_NATIVE_FOLDER")
    return (Path(folder) if folder else cache_dir() / "native") / f"forward-{key}.so"


def failure() -> str | None:
    """Why it could not be made, None if nothing is known against it."""
    try:
        return failure_path().read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def failure_path() -> Path:
    """The file that says why it could not be made."""
    return library_path().with_suffix(".failed")


@cache
def _source() -> bytes:
    return SOURCE.read_bytes()


def _load(path: Path) -> Library | None:
    if path not in _loaded and path.exists():
        try:
            _loaded[path] = Library(path)
        except (OSError, AttributeError):
            return None
    return _loaded.get(path)
