"""`python -m tuillm.training.worker RUN_FOLDER [--resume] [--replace]`: one run, one process.

Reads the run folder's settings, trains, and leaves everything in the folder. SIGTERM asks for
an orderly end, as a `stop` in the control file does.
"""

import sys
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.runs import Run
from tuillm.training.record import Recorder
from tuillm.training.trainer import Trainer


def main(arguments: list[str]) -> int:
    """Run the worker; return its exit code."""
    folder = Path(arguments[0])
    run = Run(folder.name, folder)
    try:
        trainer = Trainer.from_config(run.config)
        recorder = Recorder(trainer, run, replace="--replace" in arguments,
                            resume="--resume" in arguments)
        model = recorder.run()
    except TuillmError as error:
        print(f"failed: {error}")
        return error.exit_code
    print(f"published {model.name} at {model.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
