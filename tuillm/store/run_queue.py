"""The queue of runs: which run waits for which, and in what order they start.

A queued run has a process of its own that waits (see `workers.queue_process`). The order is in
`queue.json` beside the runs; those that it does not name come last, the oldest first. Knows run
folders; starts nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Literal

from tuillm.errors import TuillmError
from tuillm.store.files import hold, read_json, write_json
from tuillm.store.paths import ensure_dir, runs_dir
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE
from tuillm.store.snapshot import RunEntry, RunsSnapshot

Move = Literal["up", "down", "first", "last"]
_WAIT = 10.0


class QueueBusy(TuillmError):
    """Another process goes on changing the queue."""


def queued_runs() -> list[Run]:
    """Return the runs that wait for their turn, the next one first."""
    return _queued(_entries(RunsSnapshot()))


def waits_for(run: Run, snapshot: RunsSnapshot | None = None) -> tuple[Run | None, int]:
    """Return the run that has to end before this one starts, None where it may start now.

    And its position in the queue, 1 for the next. A paused run is not over. Whoever asks again and
    again keeps a `snapshot`, of which only what has changed is read.
    """
    entries = _entries(snapshot or RunsSnapshot())
    ahead = list(takewhile(lambda other: other.id != run.id, _queued(entries)))
    going = [
        entry.run
        for entry in entries
        if entry.status.state in ACTIVE and entry.status.state != "queued" and entry.id != run.id
    ]
    return next(iter(going + ahead), None), len(ahead) + 1


def move_in_queue(run: Run, move: Move) -> int:
    """Let a queued run start earlier or later; return its position, 1 for the next.

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
        index = min(max(there, 0), len(ids))
        ids.insert(index, run.id)
        write_json(_file(), {"order": ids})
    return index + 1


def queue_last(run: Run) -> None:
    """Give a run that is queued now the last position, whatever it had before."""
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


def _entries(snapshot: RunsSnapshot) -> list[RunEntry]:
    """All runs as they are now, the oldest first."""
    snapshot.refresh()
    return snapshot.runs[::-1]


def _queued(entries: list[RunEntry]) -> list[Run]:
    positions = {run_id: position for position, run_id in enumerate(_order())}
    waiting = [entry.run for entry in entries if entry.status.state == "queued"]
    return sorted(waiting, key=lambda run: positions.get(run.id, len(positions)))


def _order() -> list[str]:
    try:
        order = read_json(_file()).get("order")
    except TuillmError:
        return []
    return [each for each in order if isinstance(each, str)] if isinstance(order, list) else []


def _file() -> Path:
    return runs_dir() / "queue.json"
