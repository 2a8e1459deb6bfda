"""The command as a person runs it, and the workers that a test has started."""

import os
import subprocess
import sys

from tuillm.store.workers import processes


def tuillm(*arguments, **environment):
    """Run `tuillm ARGUMENTS...` to its end; return what subprocess.run does."""
    return subprocess.run(
        [sys.executable, "-m", "tuillm", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=200,
        check=False,
    )


def end_workers():
    """Kill the workers that this process has started and is still the parent of."""
    for worker in processes._started:
        worker.kill()
        worker.wait()
    processes._started.clear()
