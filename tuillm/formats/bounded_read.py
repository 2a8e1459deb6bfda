"""Files read with a bound on their size: what came from elsewhere cannot fill the memory.

JSON grows about twentyfold on its way from the file into Python's objects, so its bounds are
narrow. Knows bytes and JSON; knows nothing of what stands in them.
"""

import errno
import json
import os
import stat
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject

MB = 1 << 20
# the longest files of their kind, in bytes: those of all models tuillm knows are ten times smaller
CONFIG_BYTES = MB
TOKENIZER_CONFIG_BYTES = 4 * MB
VOCABULARY_BYTES = 32 * MB
INDEX_BYTES = 4 * MB


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open a file that may be written by any process, and return its descriptor.

    Raises OSError, also for what is no regular file: a pipe would be waited for, a device has no
    end.
    """
    odd = OSError(errno.EINVAL, "it is no regular file", str(path))
    try:
        fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)
    except OSError as error:  # ENXIO: a pipe that nobody reads
        raise (odd if error.errno == errno.ENXIO else error) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise odd
    return fd


def read_bounded(path: Path, most: int) -> bytes:
    """Return the contents of a regular file of at most `most` bytes.

    Raises TuillmError when it is missing, longer, no file (a pipe, a device) or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise TuillmError(f"{path} is no file")
        if found.st_size > most:
            raise TuillmError(
                f"{path} is too large: {found.st_size:,} bytes, where {most:,} are "
                "the most there can be"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise TuillmError(f"{path} is missing") from None
    except OSError as error:
        raise TuillmError(f"cannot read {path}: {error.strerror}") from None


def read_object(path: Path, most: int) -> JsonObject:
    """Return the JSON object in a file of at most `most` bytes.

    Raises TuillmError when it is missing, too large, or damaged.
    """
    try:
        value = json.loads(read_bounded(path, most))
    except (ValueError, RecursionError) as error:  # nested too deeply is damaged, too
        raise TuillmError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise TuillmError(f"{path} is damaged: not a JSON object")
    return value
