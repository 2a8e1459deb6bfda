"""Starts a worker process for a run and lets go of it.

Knows the worker only by its module's name: importing it would cost torch. The worker gets
a session of its own, so that Ctrl-C in the terminal that started it never reaches it.
"""

import subprocess
import sys

import psutil

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.files import read_json, recover_folder
from tuillm.store.processes import ProcessId, this_process
from tuillm.store.runs import RESUMABLE, Run, create_run

_WORKER = "tuillm.training.worker"
_workers: list[subprocess.Popen[bytes]] = []


def start_run(config: TrainConfig, *, replace: bool = False) -> Run:
    """Create a run folder and start its worker; returns at once.

    `replace` lets the run publish over a model of the same name.
    """
    run = create_run(config, this_process())
    _spawn(run, ["--replace"] if replace else [])
    return run


def resume_run(run: Run) -> int:
    """Start a new worker that takes an ended run up again; return the step it goes on from.

    That is the last checkpoint's, or 0 for a run that ended before its first one and so begins
    anew. Raises TuillmError when the run is still going or has finished.
    """
    status = run.status()
    if status.state not in RESUMABLE:
        words = "has finished" if status.state == "finished" else f"is {status.state}"
        raise TuillmError(f"run {run.id!r} {words}; there is nothing to resume")
    recover_folder(run.last)
    checkpoint = run.last / "trainer.json"
    step = int(read_json(checkpoint).get("step", 0)) if checkpoint.exists() else 0
    me = this_process()
    run.control.unlink(missing_ok=True)
    fresh = {"state": "preparing", "pid": me.pid, "process_started": me.started, "error": None}
    run.write_status(status.model_copy(update=fresh))
    _spawn(run, ["--resume"] if checkpoint.exists() else [])
    return step


def _spawn(run: Run, options: list[str]) -> None:
    with run.log.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", _WORKER, str(run.path), *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
    _workers[:] = [other for other in _workers if other.poll() is None] + [worker]
    # from here on the run is lost when the worker dies, whatever becomes of this process
    owner = ProcessId(worker.pid, psutil.Process(worker.pid).create_time())
    fresh = {"pid": owner.pid, "process_started": owner.started}
    if (status := run.status()).state == "preparing":
        run.write_status(status.model_copy(update=fresh))
