"""`python -m tuillm.training.worker RUN_FOLDER [OPTIONS]`: one run, one process.

Options: --resume from the last checkpoint, --replace a model of the same name, --changed-text: the
text may be another one than the checkpoint's.

Reads the run folder's settings, trains, and leaves everything in the folder. SIGTERM asks for
an orderly end, as a `stop` in the control file does. Under `torchrun` several of these train one
run: the first as if it were alone, the others as it tells them.
"""

import os
import signal
import sys
import time
from pathlib import Path

from tuillm.errors import TuillmError, printable
from tuillm.model import choose_device
from tuillm.store.locks import Lock
from tuillm.store.paths import cache_dir, config_dir, data_dir
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE
from tuillm.store.temp_files import clear_leftovers
from tuillm.store.workers.processes import LAUNCHED
from tuillm.training.distributed.other_ranks import follow
from tuillm.training.distributed.ranks import Ranks, restarts
from tuillm.training.hardware import tune_process
from tuillm.training.runner import Runner
from tuillm.training.trainer import Trainer
from tuillm.urls import hide_secrets


def main(arguments: list[str]) -> int:
    """Run the worker; return its exit code."""
    folder = Path(arguments[0])
    run = Run(folder.name, folder)
    if restarts() and run.recorded().state not in ACTIVE:
        return 0  # it was over when a process died
    if os.environ.get("RANK", "0") != "0":
        return _follow(run)
    try:
        lock = Lock(None) if os.environ.get(LAUNCHED) else run.take()
    except TuillmError as error:  # another works in the folder
        _say(f"failed: {error}")
        return error.exit_code
    with lock:  # others see by it that we live
        return _work(run, arguments)


def _follow(run: Run) -> int:
    """Train as another rank than the first, which alone says when it is over."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    tune_process()
    config = run.config
    ranks = Ranks.join(choose_device(config.device).type)
    follow(config, ranks, run.last)
    ranks.leave()
    return 0


def _work(run: Run, arguments: list[str]) -> int:
    try:
        for folder in (run.path, cache_dir() / "tokens"):
            clear_leftovers(folder, before=True)
        for folder in (data_dir(), config_dir()):  # where a person's own files lie, too
            clear_leftovers(folder)
        tune_process()
        config = run.config
        trainer = Trainer(config=config, ranks=Ranks.join(choose_device(config.device).type))
    except TuillmError as error:  # not even the settings can be read
        _say(f"failed: {error}")
        return error.exit_code
    runner = Runner(
        trainer,
        run,
        replace="--replace" in arguments,
        resume="--resume" in arguments or (restarts() > 0 and run.checkpoint.exists()),
        changed_text="--changed-text" in arguments,
        say=_say,
    )
    ranks, code = trainer.ranks, 0
    try:
        runner.run()
    except TuillmError as error:
        code = error.exit_code
    ranks.tell("end")
    ranks.leave()
    # what was told and written down is no reason to start all processes again
    return 0 if ranks.together else code


def _say(line: str) -> None:
    """Print a line of the log, with the time of day, at once."""
    print(time.strftime("%H:%M:%S"), printable(hide_secrets(line)), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
