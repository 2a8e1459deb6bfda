"""Texts that can be read only once: pipes and standard input, kept as files of the cache.

A run reads its text several times, in more than one process: to check it, to learn it, to take
it up again. Knows files; decodes nothing.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from tuillm.errors import TuillmError, UsageError, printable
from tuillm.store.files import disk_error
from tuillm.store.paths import ensure_dir
from tuillm.store.temp_files import clear_leftovers, temporary_file
from tuillm.text.sources.source_names import kind_words, pipes_dir
from tuillm.text.web_cache import MAX_BYTES
from tuillm.urls import is_remote
from tuillm.user_paths import user_path

_CHUNK = 1 << 20
_STDIN = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
# files that only this process has open
_OURS = re.compile(r"/dev/fd/\d+|/proc/self/fd/\d+")


def keep_pipes(
    sources: tuple[str, ...], say: Callable[[str], None] = lambda line: None
) -> tuple[str, ...]:
    """Return the sources with each pipe, and `-` for standard input, read into a file.

    `say` is told what is waited for. Raises TuillmError for a terminal, a device, and more than
    1 GB; everything else comes back as it is.
    """
    return tuple(source if is_remote(source) else _kept(source, say) for source in sources)


def _kept(source: str, say: Callable[[str], None]) -> str:
    if source in _STDIN:
        return _from_stdin(say)
    path = user_path(source)
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return source  # whoever reads it says why not
    ours = bool(_OURS.fullmatch(str(path)))
    if stat.S_ISREG(kind) and ours and (behind := _file_behind(path)):
        return behind
    if stat.S_ISREG(kind) and not ours or stat.S_ISDIR(kind):
        return source
    if not stat.S_ISFIFO(kind) and not stat.S_ISREG(kind):
        raise TuillmError(
            f"{printable(source)} is {kind_words(kind)}, not a text",
            "name a file, or - for standard input",
        )
    try:
        if stat.S_ISFIFO(kind):
            say(f"reading the pipe {printable(source)} until it is closed")
        return _copy(path.open("rb"), "pipe" if ours else path.name)
    except OSError as error:
        raise TuillmError(f"cannot read {printable(source)}: {error.strerror}") from None


def _from_stdin(say: Callable[[str], None]) -> str:
    try:
        kind = os.fstat(0).st_mode
        os.read(0, 0)  # one that was closed may have been taken by what is only written to
    except OSError:
        raise UsageError("there is no standard input to read a text from", "name a file") from None
    if os.isatty(0):
        raise UsageError("standard input is a terminal", "cat BOOK.txt | tuillm train -")
    if stat.S_ISREG(kind) and (behind := _file_behind(Path("/proc/self/fd/0"))):
        return behind
    say("reading standard input until it is closed")
    try:
        return _copy(os.fdopen(0, "rb", closefd=False), "stdin")
    except OSError as error:
        raise TuillmError(f"cannot read standard input: {error.strerror}") from None


def _file_behind(path: Path) -> str:
    """The lasting name of a file that this process has open, or ''."""
    real = os.path.realpath(path)
    try:
        return real if os.path.samefile(real, path) and real != str(path) else ""
    except OSError:  # it was deleted in the meantime
        return ""


def keep_pieces(pieces: Iterable[bytes], name: str) -> str:
    """Write all pieces into a file called `name` in a folder named by their contents; return it.

    What iterating raises leaves no file. Raises DiskError where the disk refuses.
    """
    root = ensure_dir(pipes_dir())
    digest = hashlib.sha256()
    clear_leftovers(root)
    with ExitStack() as stack:
        try:
            temporary, handle = stack.enter_context(temporary_file(root / "pipe"))
        except OSError as error:
            raise disk_error(error, root) from None
        for piece in pieces:
            digest.update(piece)
            _write(handle, piece, root)
        folder = ensure_dir(root / digest.hexdigest()[:16])
        try:
            os.fsync(handle)
            os.replace(temporary, folder / name)
        except OSError as error:
            raise disk_error(error, root) from None
    return str(folder / name)


def _copy(source: BinaryIO, name: str) -> str:
    """Write all that comes into a file named by its contents; return its path."""
    with source:
        return keep_pieces(_pieces(source), name)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    done = 0
    while piece := source.read(_CHUNK):
        done += len(piece)
        if done > MAX_BYTES:
            raise TuillmError(
                f"the pipe gives more than {MAX_BYTES / 1e6:g} MB", "save the text to a file"
            )
        yield piece


def _write(handle: int, piece: bytes, root: Path) -> None:
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError as error:
        raise disk_error(error, root) from None
