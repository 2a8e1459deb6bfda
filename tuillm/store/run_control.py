"""What a run is asked for from outside: the lines of its `control` file.

Knows the requests there are, and how many steps a person may ask for; knows no run.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard, cast, get_args

from tuillm.config.train_config import MOST_STEPS
from tuillm.errors import UsageError, brief
from tuillm.formats.json_text import JsonObject
from tuillm.store.files import append_json
from tuillm.store.jsonl import read_rows

Request = Literal["pause", "resume", "stop", "eval", "sample", "extend"]


@dataclass(frozen=True)
class ControlRequest:
    """One line of `control`: a request, and for `extend` the number of steps."""

    request: Request
    steps: int = 0


def ask(control: Path, request: Request, steps: int = 0) -> None:
    """Add a request; `extend` asks for `steps` more, and raises UsageError for less than one."""
    if request == "extend":
        check_extension(steps)
    number = {"steps": steps} if request == "extend" else {}
    append_json(control, {"request": request, **number, "time": time.time()})


def requests(control: Path, offset: int) -> tuple[list[ControlRequest], int]:
    """Return what `control` asks for from byte `offset` on, and the new offset.

    Lines that ask for nothing there is are passed over.
    """
    rows, offset = read_rows(control, offset)
    return [asked for row in rows if (asked := _asked(row))], offset


def waiting_extension(control: Path, offset: int) -> int:
    """Return by how many steps `control` asks to extend from byte `offset` on, all in all."""
    return sum(asked.steps for asked in requests(control, offset)[0] if asked.request == "extend")


def steps_of(text: str) -> int:
    """Return the number of steps that a person has typed; raises UsageError for anything else."""
    digits = text.strip().replace(",", "")
    if not (
        digits.isascii() and digits.isdigit() and len(digits) < 20 and 0 < int(digits) <= MOST_STEPS
    ):
        raise UsageError(
            f"{brief(text)} is no number of steps", f"a whole number from 1 to {MOST_STEPS:,}"
        )
    return int(digits)


def check_extension(steps: int) -> int:
    """Return the steps that a run is to take in addition; raises UsageError for what is none."""
    if not _is_extension(steps):
        raise UsageError(
            f"a run cannot be extended by {brief(steps)} steps", f"allowed: 1 to {MOST_STEPS:,}"
        )
    return steps


def _asked(row: JsonObject) -> ControlRequest | None:
    request = cast(Request, row.get("request"))
    steps = row.get("steps")
    if request not in get_args(Request):
        return None
    if request != "extend":
        return ControlRequest(request)
    return ControlRequest(request, steps) if _is_extension(steps) else None


def _is_extension(steps: object) -> TypeGuard[int]:
    return type(steps) is int and 0 < steps <= MOST_STEPS
