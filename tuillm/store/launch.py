"""Starts a worker process for a run and lets go of it.

Knows the worker only by its module's name: importing it would cost torch.
"""

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.store.files import read_json, recover_folder, remove_folder
from tuillm.store.interrupts import uninterrupted
from tuillm.store.locks import Lock
from tuillm.store.models import find_model, refuse_if_taken
from tuillm.store.paths import ensure_dir, models_dir, runs_dir
from tuillm.store.processes import start_detached, this_process
from tuillm.store.runs import (
    ACTIVE,
    RESUMABLE,
    Run,
    Status,
    active_run_for,
    check_extension,
    create_run,
    model_name,
)
from tuillm.store.usage import refuse_if_used

_WORKER = "tuillm.training.worker"


def refuse_to_start(config: TrainConfig, *, replace: bool = False) -> None:
    """Raise TuillmError for a run that cannot end well: no text, a name taken, a disk refusing.

    So does a model to start from that is unknown or damaged. Whether the text itself can be read
    is not looked at here.
    """
    if not config.corpus:
        raise UsageError("no text was named", "tuillm train BOOK.txt, or tuillm demo")
    name = model_name(config)
    for folder in (models_dir(), runs_dir()):
        ensure_dir(folder)
    if replace:
        refuse_if_used(name, "replace")
    else:
        refuse_if_taken(name, "another name: --name NAME; in its place: --replace")
    running = active_run_for(name)
    if running:
        raise TuillmError(
            f"run {running.id!r} is already growing {name!r}",
            f"watch it: tuillm runs attach {running.id}",
        )
    if config.init_from is not None:
        find_model(config.init_from)


def start_run(config: TrainConfig, *, replace: bool = False) -> Run:
    """Create a run folder and start its worker; returns at once.

    `replace` lets the run publish over a model of the same name.
    """
    with uninterrupted():
        run = create_run(config, this_process())
        try:
            with run.take() as lock:
                _spawn(run, ["--replace"] if replace else [], lock)
        except (TuillmError, OSError):
            remove_folder(run.path)
            raise
    return run


def resume_run(run: Run, *, extend: int = 0) -> int:
    """Start a new worker that takes an ended run up again; return the step it goes on from.

    That is the last checkpoint's, or 0 for a run that ended before its first one and so begins
    anew. With `extend` the run takes that many steps more, which a finished one can do as well.
    Raises TuillmError when the run is still going, or has finished and is not extended. Of several
    calls at once one starts a worker.
    """
    options = ["--extend", str(check_extension(extend))] if extend else []
    _refuse_to_resume(run, run.status(), extend)
    with uninterrupted(), run.take() as lock:
        status = run.recorded()  # which another call may have changed since
        if status.state not in ACTIVE:  # that of a worker is the trace of one that died
            _refuse_to_resume(run, status, extend)
        recover_folder(run.last)
        checkpoint = run.last / "trainer.json"
        if status.state == "finished" and not checkpoint.exists():
            raise TuillmError(f"run {run.id!r} has no checkpoint to go on from in {run.last}")
        step = int(read_json(checkpoint).get("step", 0)) if checkpoint.exists() else 0
        me = this_process()
        run.control.unlink(missing_ok=True)
        fresh = {"state": "preparing", "pid": me.pid, "process_started": me.started, "error": None}
        run.write_status(status.model_copy(update=fresh))
        _spawn(run, options + (["--resume"] if checkpoint.exists() else []), lock)
    return step


def _refuse_to_resume(run: Run, status: Status, extend: int) -> None:
    """Raise TuillmError for a run that is going, or has finished and is not to be extended."""
    if status.state not in RESUMABLE and not (status.state == "finished" and extend):
        words = "has finished" if status.state == "finished" else f"is {status.state}"
        raise TuillmError(f"run {run.id!r} {words}; there is nothing to resume",
                          f"more steps: tuillm runs extend {run.id} STEPS")


def _spawn(run: Run, options: list[str], lock: Lock) -> None:
    """Start a worker that holds the run's lock from its first moment on."""
    owner = start_detached(_WORKER, [str(run.path), *options], run.log, lock)
    if lock.fd is None and (status := run.recorded()).state == "preparing":
        # without a lock the worker is known by its number, which it writes down only later
        run.write_status(status.model_copy(
            update={"pid": owner.pid, "process_started": owner.started}))
