"""`python -m tuillm.store.workers.queue_process RUN_FOLDER COMMAND...`: waits for a run's turn.

Holds the run's lock while it waits, and then becomes the worker: the same process, with the same
lock, so that there is no moment in which the run has neither. A `stop` in its control file ends the
wait, a `resume` starts the run at once. Knows run folders and the queue; loads no torch.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tuillm.errors import DiskError, TuillmError
from tuillm.store.process_id import this_process
from tuillm.store.run_control import requests
from tuillm.store.run_folder import Run
from tuillm.store.run_queue import QueueBusy, starting, waits_for
from tuillm.store.snapshot import RunsSnapshot

_POLL = 0.5
_HEARTBEAT = 5.0


class _Stopped(Exception):
    """Somebody has asked that the run does not start."""


def main(arguments: list[str]) -> int:
    """Wait, then run the command in this process; return the exit code of a wait that ended."""
    folder = Path(arguments[0])
    run = Run(folder.name, folder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        _wait(run)
        os.execv(arguments[1], arguments[1:])
    except _Stopped:
        _write(run, state="stopped", doing="", queue_position=0)
        return 0
    except (OSError, TuillmError) as error:
        what = f"the worker cannot be started: {error}"
        _write(run, state="failed", doing="", queue_position=0, error=what)
        return 1


def _wait(run: Run) -> None:
    """Return when it is the run's turn; its status says `preparing` then."""
    snapshot, offset, written = RunsSnapshot(), run.recorded().control_read, 0.0
    told: dict[str, object] = {}
    at_once = False
    while True:
        asked, offset = requests(run.control, offset)
        wanted = {each.request for each in asked}
        if "stop" in wanted:
            raise _Stopped
        at_once = at_once or "resume" in wanted
        # a disk that refuses, or another who changes the queue: at the next look
        with suppress(DiskError, QueueBusy):
            position = _start(run, snapshot, at_once)
            if not position:
                return
            if position != told or time.monotonic() - written > _HEARTBEAT:
                _write(run, **position)
                told, written = position, time.monotonic()
        time.sleep(_POLL)


def _start(run: Run, snapshot: RunsSnapshot, at_once: bool) -> dict[str, object]:
    """Say in the status that the run starts, if it may; else return what to say of its wait."""
    with starting():
        other, position = waits_for(run, snapshot)
        if other is None or at_once:
            _write(run, state="preparing", doing="", queue_position=0)
            return {}
    behind = f", number {position} in the queue" if position > 1 else ""
    return {"doing": f"waits for {other.id}{behind}", "queue_position": position}


def _write(run: Run, **update: object) -> None:
    me = this_process()
    update |= {"heartbeat": time.time(), "pid": me.pid, "process_started": me.started}
    run.write_status(run.recorded().model_copy(update=update))


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TuillmError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
