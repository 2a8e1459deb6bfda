"""Starts a worker process for a run and lets go of it.

Knows the worker only by its module's name: importing it would cost torch.
"""

import json
import os
from contextlib import suppress

from tuillm.config import TrainConfig
from tuillm.config.train_config import MOST_STEPS
from tuillm.errors import TuillmError, brief
from tuillm.store.defer_signals import uninterrupted
from tuillm.store.files import read_json, recover_folder, remove_folder
from tuillm.store.jsonl import is_step
from tuillm.store.locks import Lock
from tuillm.store.process_id import this_process
from tuillm.store.run_control import check_extension, waiting_extension
from tuillm.store.run_folder import Run, create_run, remove_run
from tuillm.store.run_queue import queue_last
from tuillm.store.run_status import ACTIVE, RESUMABLE, Status
from tuillm.store.workers.processes import LAUNCHED, module_command, start_detached
from tuillm.urls import ADDRESSES, has_secrets, is_url, stored_url

_WORKER = "tuillm.training.worker"
_QUEUE = "tuillm.store.workers.queue_process"
_ELASTIC = "torch.distributed.run"
# how often all processes of a run are started again when one of them has died
_RESTARTS = 3


def start_run(config: TrainConfig, *, replace: bool = False, queue: bool = False) -> Run:
    """Create a run folder and start its worker; returns at once.

    `replace` lets the run publish over a model of the same name; with `queue` it begins when no
    other run is going.
    """
    secret = {
        stored_url(source): source
        for source in config.corpus
        if is_url(source) and has_secrets(source)
    }
    # handed on, never written down: what is not in the cache yet has to be fetched with them
    environment = {ADDRESSES: json.dumps(secret)} if secret else {}
    with uninterrupted():
        run = create_run(config, this_process(), "queued" if queue else "preparing")
        try:
            with run.take() as lock:
                _spawn(run, ["--replace"] if replace else [], lock, environment, queue=queue)
        except (TuillmError, OSError):
            remove_folder(run.path)
            raise
    return run


def refuse_to_resume(run: Run, extend: int = 0) -> None:
    """Raise TuillmError when a run is still going, or has finished and is not extended.

    Raises UsageError for steps that are none.
    """
    if extend:
        check_extension(extend)
    _refuse_state(run, run.status(), extend)


def forget_vain_start(run: Run) -> None:
    """Remove a run that failed before its first step, for a reason that was told to the person.

    One that broke off by a fault of ours stays, with its log.
    """
    status = run.status()
    kept = run.last, run.best, run.metrics
    told = status.error and str(run.log) not in (status.hint or "")
    if status.state == "failed" and told and not any(path.exists() for path in kept):
        with suppress(TuillmError):
            remove_run(run)


def resume_run(
    run: Run,
    *,
    extend: int = 0,
    changed_text: bool = False,
    nproc: int | None = None,
    queue: bool = False,
) -> int:
    """Start a new worker that takes an ended run up again; return the step it goes on from.

    That is the last checkpoint's, or 0 for a run that ended before its first one and so begins
    anew. With `extend` the run takes that many steps more, which a finished one can do as well;
    and those that the last worker was asked for and died before it could take them; with
    `changed_text` it may learn another text than before, with `nproc` in another number of
    processes, with `queue` when no other run is going. Whoever may, calls `training.resume`, which
    looks at the text first. Raises as `refuse_to_resume`, and TuillmError
    when there is no checkpoint, or a damaged one. Of several calls at once one starts a worker.
    """
    refuse_to_resume(run, extend)
    options = ["--changed-text"] if changed_text else []
    with uninterrupted(), run.take() as lock:
        status = run.recorded()  # which another call may have changed since
        if status.state not in ACTIVE:  # that of a worker is the trace of one that died
            _refuse_state(run, status, extend)
        recover_folder(run.last)
        checkpoint = run.checkpoint
        if status.state == "finished" and not checkpoint.exists():
            raise TuillmError(f"run {run.id!r} has no checkpoint to go on from in {run.last}")
        step = read_json(checkpoint).get("step", 0) if checkpoint.exists() else 0
        if not is_step(step):
            raise TuillmError(f"checkpoint {run.last} is damaged: its step is {brief(step)}")
        me = this_process()
        waiting = waiting_extension(run.control, status.control_read)
        _ask_anew(run, extend + waiting)
        fresh = {
            "state": "queued" if queue else "preparing",
            "pid": me.pid,
            "process_started": me.started,
            "error": None,
            "control_read": 0,
        }
        run.write_status(status.model_copy(update=fresh))
        try:
            options += ["--resume"] if checkpoint.exists() else []
            _spawn(run, options, lock, nproc=nproc, queue=queue)
        except (TuillmError, OSError):
            _ask_anew(run, waiting)  # whoever asks again must not get twice as many
            run.write_status(status.model_copy(update={"control_read": 0}))
            raise
    return step


def _ask_anew(run: Run, steps: int) -> None:
    """Let `control` ask for these steps more and nothing else: there it stays until it is done."""
    run.control.unlink(missing_ok=True)
    if steps:
        run.request("extend", min(steps, MOST_STEPS))


def _refuse_state(run: Run, status: Status, extend: int) -> None:
    """Raise TuillmError for a run that is going, or has finished and is not to be extended."""
    if status.state not in RESUMABLE and not (status.state == "finished" and extend):
        words = "has finished" if status.state == "finished" else f"is {status.state}"
        raise TuillmError(
            f"run {run.id!r} {words}; there is nothing to resume",
            f"more steps: tuillm runs extend {run.id} STEPS",
        )


def _spawn(
    run: Run,
    options: list[str],
    lock: Lock,
    environment: dict[str, str] | None = None,
    nproc: int | None = None,
    queue: bool = False,
) -> None:
    """Start a worker that holds the run's lock from its first moment on; in a queue it waits."""
    module, arguments = _WORKER, [str(run.path), *options]
    if (nproc := nproc or run.config.nproc) > 1:
        # the agent holds the lock; each of its processes is started as any of ours
        launcher = ["--standalone", f"--nproc-per-node={nproc}", f"--max-restarts={_RESTARTS}"]
        command = module_command(_WORKER, *arguments)
        module, arguments = _ELASTIC, [*launcher, "--no-python", *command]
        threads = max((os.cpu_count() or 1) // nproc, 1)
        environment = {LAUNCHED: "1", "OMP_NUM_THREADS": str(threads)} | (environment or {})
    if queue:
        queue_last(run)
        module, arguments = _QUEUE, [str(run.path), *module_command(module, *arguments)]
    low = run.config.priority == "low"
    owner = start_detached(
        module, arguments, run.log, lock=lock, environment=environment, low_priority=low
    )
    if lock.fd is None and (status := run.recorded()).state in ("queued", "preparing"):
        # without a lock the worker is known by its number, which it writes down only later
        run.write_status(
            status.model_copy(update={"pid": owner.pid, "process_started": owner.started})
        )
