"""Files that a person writes by hand: settings, themes, keys, prompts. UTF-8, and not endless.

Knows encodings and TOML; does not know what a file is for. What is wrong is a ValueError whose
words end a sentence such as "keymap.toml cannot be read: ...".
"""

import codecs
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import BinaryIO

from tuillm.errors import brief

_MOST = 16_000_000  # bytes; a device or a pipe may never end
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_typed(path: Path) -> str:
    """Return the text of a file; raises OSError, or ValueError for what is no text."""
    with path.open("rb") as file:
        return read_stream(file)


def read_stream(file: BinaryIO) -> str:
    """Return the text that a stream has up to its end, without a byte order mark.

    Raises ValueError for one that is not UTF-8, or is longer than 16 MB.
    """
    content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise ValueError(f"it is longer than {_MOST // 1_000_000} MB")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            raise ValueError(f"it is {encoding}, save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        kind = "UTF-16 it seems" if b"\0" in content[:100] else f"byte 0x{content[error.start]:02x}"
        raise ValueError(f"not UTF-8 text ({kind} at line {line}, byte {column})") from None


def parse_toml(text: str) -> dict[str, object]:
    """Return what a text in TOML says; raises ValueError with the place where it is none."""
    if "\0" in text[:100]:  # UTF-16 without its mark, whose bytes are all UTF-8
        raise ValueError("it has NUL characters; is it UTF-16? save it as UTF-8")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_toml_file(path: Path) -> dict[str, object]:
    """Return what a TOML file says; raises OSError, or ValueError with what is wrong with it."""
    return parse_toml(read_typed(path))


def shown(value: object, number: bool = False) -> str:
    """Return a value of a TOML file, or one typed, as a line shows it: short, dates as written.

    Where a `number` was wanted, a text that is one stands without quotes.
    """
    if isinstance(value, date | time):
        return value.isoformat()
    short = brief(value)
    is_number = isinstance(value, str) and re.fullmatch(
        r"[-+]?[\d.]+(e[-+]?\d+)?|[-+]?(nan|inf)", value
    )
    return short.strip("'") if number and is_number else short


def words_of(error: Exception) -> str:
    """Return why a file could not be read, in a few words without its name."""
    reason = error.strerror if isinstance(error, OSError) else ""
    return reason or str(error)
