"""`python -m tuillm.training.worker RUN_FOLDER [OPTIONS]`: one run, one process.

Options: --resume from the last checkpoint, --replace a model of the same name, --changed-text: the
text may be another one than the checkpoint's.

Reads the run folder's settings, trains, and leaves everything in the folder. SIGTERM asks for
an orderly end, as a `stop` in the control file does.
"""

import sys
import time
from pathlib import Path

from tuillm.errors import TuillmError, printable
from tuillm.store.paths import cache_dir, config_dir, data_dir
from tuillm.store.run_folder import Run
from tuillm.store.temp_files import clear_leftovers
from tuillm.training.hardware import tune_process
from tuillm.training.runner import Runner
from tuillm.training.trainer import Trainer
from tuillm.urls import hide_secrets


def main(arguments: list[str]) -> int:
    """Run the worker; return its exit code."""
    folder = Path(arguments[0])
    run = Run(folder.name, folder)
    try:
        lock = run.take()
    except TuillmError as error:  # another works in the folder
        _say(f"failed: {error}")
        return error.exit_code
    with lock:  # others see by it that we live
        return _work(run, arguments)


def _work(run: Run, arguments: list[str]) -> int:
    try:
        for folder in (run.path, cache_dir() / "tokens"):
            clear_leftovers(folder, before=True)
        for folder in (data_dir(), config_dir()):  # where a person's own files lie, too
            clear_leftovers(folder)
        tune_process()
        trainer = Trainer(config=run.config)
    except TuillmError as error:  # not even the settings can be read
        _say(f"failed: {error}")
        return error.exit_code
    runner = Runner(
        trainer,
        run,
        replace="--replace" in arguments,
        resume="--resume" in arguments,
        changed_text="--changed-text" in arguments,
        say=_say,
    )
    try:
        runner.run()
    except TuillmError as error:
        return error.exit_code
    return 0


def _say(line: str) -> None:
    """Print a line of the log, with the time of day, at once."""
    print(time.strftime("%H:%M:%S"), printable(hide_secrets(line)), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
