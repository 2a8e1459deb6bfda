"""`python -m tuillm.loggers.log_process RUN_FOLDER NAME...`: logs a run until it is over.

A process of its own, so that no logger holds up training or takes it down; what goes wrong stands
in the run's log.
"""

import sys
import time
from pathlib import Path

from tuillm.errors import TuillmError, printable
from tuillm.loggers.log_run import log_run
from tuillm.store.run_folder import Run


def main(arguments: list[str]) -> int:
    """Log the run; return the exit code."""
    folder = Path(arguments[0])
    try:
        log_run(Run(folder.name, folder), tuple(arguments[1:]), _say)
    except TuillmError as error:
        _say(str(error))
        return error.exit_code
    return 0


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), printable(f"not logged to {line}"), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
