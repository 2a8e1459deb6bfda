"""Values of a `config.json`, looked at before anything is built from them.

Knows what no model can have; knows no family.
"""

from collections.abc import Iterable
from os import PathLike
from typing import Any

from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

Where = str | PathLike[str]

# beyond these is no model: GPT-2 XL has 50,257, 1,600 and 48
LARGEST = 10_000_000
WIDEST = 1_000_000
DEEPEST = 10_000
MOST_HEADS = 100_000


class Values:
    """The values of a parsed `config.json`; `where` is how errors call the file."""

    def __init__(self, found: JsonObject, where: Where) -> None:
        self.found, self.where = found, where

    def whole(self, key: str, most: int, least: int = 1, default: int | None = None) -> int:
        """A whole number from `least` to `most`; raises TuillmError for anything else.

        Where there is a default, null means it.
        """
        value = self._get(key, default)
        if value is None and default is not None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise self.damaged(key, value)
        return value

    def positive(self, key: str, most: float, default: float | None = None) -> float:
        """A number above 0 and up to `most`; raises TuillmError for anything else."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not 0 < value <= most:
            raise self.damaged(key, value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false; raises TuillmError for anything else."""
        value = self._get(key, default)
        if type(value) is not bool:
            raise self.damaged(key, value)
        return value

    def refuse(self, switches: Iterable[str]) -> None:
        """Raise TuillmError for a switch that is set and that tuillm does not compute."""
        for switch in switches:
            if self.found.get(switch):
                raise TuillmError(f"{self.where} sets {switch}, which tuillm does not compute")

    def damaged(self, key: str, value: object) -> TuillmError:
        """The error that says so of a value."""
        return TuillmError(f"{self.where} is damaged: {key} is {brief(value)}")

    def _get(self, key: str, default: Any) -> Any:
        if key not in self.found and default is None:
            raise TuillmError(f"{self.where} is damaged: {key} is missing")
        return self.found.get(key, default)
