"""What a person's words for a text lead to: items, which can be opened, and records in them.

Knows no format and no place where they come from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from tuillm.errors import one_line

# characters of a path that a message has room for
_LONGEST = 500


@dataclass(frozen=True)
class Item:
    """One file: on the disk, inside an archive, behind an address, or what came through a pipe.

    `name` is how it is shown: safe to print, without secrets, the path inside an archive behind
    that of the archive (`books.zip/kafka.txt`). `open` gives its bytes from their beginning, anew
    at each call, decompressed, and bounded. `size` is in bytes where it is known beforehand.
    `charset` is what a server told of it. `named` tells that a person named this very item: where
    it cannot be read that is an error, and not a file that is skipped.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int | None = None
    charset: str = ""
    named: bool = True


@dataclass(frozen=True)
class Record:
    """One row of a table or of a JSONL file: `number` counts from 1, `values` are by field."""

    number: int
    values: dict[str, object]


@dataclass(frozen=True)
class Skipped:
    """A file that was found and is no text: its name, and why, in a word (`binary`, `hidden`)."""

    name: str
    reason: str


def shown_path(path: str) -> str:
    """Return a path in a folder or archive as messages name it.

    It is one line, the middle of a very long one left out; how it ends tells what the file is.
    """
    plain = one_line(path)
    return (
        plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST // 2]}...{plain[-_LONGEST // 2 :]}"
    )
