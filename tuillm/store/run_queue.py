"""The queue of runs: who waits for whom, and in which order they start.

A queued run has a process of its own that waits (see `workers.queue_process`). The order stands in
`queue.json` beside the runs; those it does not name come last, the oldest first. Knows run folders;
starts nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tuillm.errors import TuillmError
from tuillm.store.files import hold, read_json, write_json
from tuillm.store.paths import ensure_dir, runs_dir
from tuillm.store.run_folder import Run, list_runs
from tuillm.store.run_status import ACTIVE

Move = Literal["up", "down", "first", "last"]
_WAIT = 10.0


class QueueBusy(TuillmError):
    """Another process goes on changing the queue."""


def queued_runs() -> list[Run]:
    """Return the runs that wait for their turn, the next one first."""
    waiting = [run for run in list_runs() if run.status().state == "queued"]
    places = {run_id: place for place, run_id in enumerate(_order())}
    return sorted(waiting, key=lambda run: places.get(run.id, len(places)))


def waits_for(run: Run) -> tuple[Run | None, int]:
    """Return the run that has to end before this one starts, None where it may start now.

    And its place in the queue, 1 for the next. A paused run is not over.
    """
    ahead: list[Run] = []
    for other in queued_runs():
        if other.id == run.id:
            break
        ahead.append(other)
    going = (
        other
        for other in list_runs()
        if other.id != run.id and (state := other.status().state) in ACTIVE and state != "queued"
    )
    return next(going, ahead[0] if ahead else None), len(ahead) + 1


def move_in_queue(run: Run, move: Move) -> int:
    """Let a queued run start earlier or later; return its place, 1 for the next.

    Raises TuillmError for a run that is not queued.
    """
    with starting():
        ids = [other.id for other in queued_runs()]
        if run.id not in ids:
            state = run.status().state
            raise TuillmError(
                f"run {run.id!r} is not queued: it is {state}", "tuillm runs lists them"
            )
        here = ids.index(run.id)
        there = {"up": here - 1, "down": here + 1, "first": 0, "last": len(ids)}[move]
        ids.remove(run.id)
        place = min(max(there, 0), len(ids))
        ids.insert(place, run.id)
        write_json(_file(), {"order": ids})
    return place + 1


def queue_last(run: Run) -> None:
    """Give a run that is queued now the last place, whatever place it had before."""
    with starting():
        others = [other.id for other in queued_runs() if other.id != run.id]
        write_json(_file(), {"order": [*others, run.id]})


@contextmanager
def starting() -> Iterator[None]:
    """Be the only one that starts a queued run, or changes the order, in the block."""
    ensure_dir(runs_dir())
    busy = QueueBusy("the queue is being changed by another process", "try again")
    with hold(runs_dir() / "queue.lock", lambda: busy, wait=_WAIT):
        yield


def _order() -> list[str]:
    try:
        order = read_json(_file()).get("order")
    except TuillmError:
        return []
    return [each for each in order if isinstance(each, str)] if isinstance(order, list) else []


def _file() -> Path:
    return runs_dir() / "queue.json"
