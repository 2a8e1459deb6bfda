"""What was typed in chats, kept in a file that only its owner reads.

Knows prompt-toolkit's format; a disk that refuses is told of, and the chat has its own lines still.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory

from tuillm.errors import TuillmError
from tuillm.store.files import make_private


class KeptHistory(FileHistory):
    """The lines of all chats, the newest first; each new one is appended."""

    def __init__(self, path: Path, refused: Callable[[TuillmError], None]) -> None:
        """`refused` hears why a line cannot be kept."""
        super().__init__(str(path))
        self._path, self._refused = path, refused

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        try:
            make_private(self._path)
            super().store_string(string)
        except TuillmError as error:
            self._refused(error)
        except OSError as error:
            self._refused(TuillmError(f"cannot write {self._path}: {error.strerror}"))
