"""The record that every measure shares, and how it is read back from a line of JSON.

Knows names and numbers; measures nothing and loads no torch, so that the dashboard can read it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeGuard

from tuillm.formats.json_text import JsonObject

# what can be measured, in the order it is done, and what that is
MEASURES = {
    "decode": "decoding, one token at a time",
    "prefill": "prefill: reading a prompt at once",
    "first-token": "first token, from the start of the process",
    "start-up": "start-up of the process, to its end",
    "tokenizer": "encoding text into token ids",
    "train": "training steps, forward, backward and optimizer",
}
OURS = "tuillm"
# where less is better; every other unit is a rate
TIMES = ("s",)
_TEXTS = ("measure", "program", "case", "unit")
_LARGEST = 1e15
_NUMBERS = ("threads", "value", "slow", "fast")

Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Measurement:
    """What one program came to in one measure: the median, the slow and the fast tenth, in `unit`.

    `case` is what of the measure it was: a precision, a shape, a command. `of_limit` is the share
    of what the machine allows (its memory's bandwidth in decoding, its matrix rate in prefill and
    training, where it is called MFU), `against` the speed beside tuillm's in the same case, round
    by round: 2 is twice as fast. Both are None where there is nothing to compare with.
    """

    measure: str
    program: str
    case: str
    threads: int
    unit: str
    value: float
    slow: float
    fast: float
    of_limit: float | None = None
    against: float | None = None

    @property
    def key(self) -> Key:
        """What tells it from all others of its run."""
        return self.measure, self.program, self.case, self.threads

    @property
    def limit(self) -> float | None:
        """What the machine allows, in `unit`; None where that is not known."""
        return self.value / self.of_limit if self.of_limit else None


def measurements_of(row: JsonObject) -> list[Measurement]:
    """Return the measurements of a line of the history; what is damaged is passed over."""
    rows = row.get("results")
    found = (_measurement(each) for each in (rows if isinstance(rows, list) else ()))
    return [each for each in found if each]


def _measurement(row: object) -> Measurement | None:
    if not isinstance(row, Mapping):
        return None
    known: dict[str, Any] = {each.name: row.get(each.name) for each in fields(Measurement)}
    texts = all(isinstance(known[name], str) for name in _TEXTS)
    if not texts or not all(is_number(known[name]) for name in _NUMBERS):
        return None
    for name in ("of_limit", "against"):
        known[name] = known[name] if is_number(known[name]) else None
    return Measurement(**known | {"threads": int(known["threads"])})


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a file is a number that can be calculated with, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value < _LARGEST
