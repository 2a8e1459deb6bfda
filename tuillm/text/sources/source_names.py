"""How a source is shown, where what came through pipes is kept, and why a path is no file.

Knows names and kinds of files; opens nothing.
"""

import stat
from pathlib import Path

from tuillm.errors import TuillmError, did_you_mean, printable
from tuillm.store.paths import cache_dir
from tuillm.urls import is_dataset, is_url, public_url

# the file that keeps what an iterable of Python gave
PYTHON_TEXTS = "texts.jsonl"


def shown_source(source: str) -> str:
    """Return a source as it may be shown: an address without secrets, and without odd bytes."""
    if is_dataset(source):
        return printable(source)
    if is_url(source):
        return printable(public_url(source))
    if pipes_dir() in Path(source).parents:
        name = Path(source).name
        if name == PYTHON_TEXTS:  # its suffix says that it is a table
            return name
        return "standard input" if name == "stdin" else f"the pipe {printable(name)}"
    return printable(source).replace("\n", " ")


def pipes_dir() -> Path:
    """Where what came through pipes is kept."""
    return cache_dir() / "pipes"


def kind_words(kind: int) -> str:
    """Name what is neither a file nor a directory, by its mode."""
    return "a pipe" if stat.S_ISFIFO(kind) else "a socket" if stat.S_ISSOCK(kind) else "a device"


def no_file(kind: int, shown: str) -> TuillmError:
    """The error for a pipe, a socket or a device where a text has to be read more than once."""
    return TuillmError(
        f"{shown} is {kind_words(kind)}, which can be read only once",
        "save the text to a file, or name it to tuillm train",
    )


def missing_source(path: Path, shown: str) -> TuillmError:
    """The error for a path that is not there, with the name that was perhaps meant."""
    if cache_dir() in path.parents:
        return TuillmError(
            f"the copy of the text, {printable(str(path))}, is no longer in the cache",
            "name the text again: tuillm train TEXT",
        )
    beside = path.parent.glob("*") if path.parent.is_dir() else ()
    hint = did_you_mean(path.name, [entry.name for entry in beside if entry.is_file()])
    return TuillmError(f"{shown} does not exist", hint or "check the path")
