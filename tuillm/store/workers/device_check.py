"""Whether a device is there, before anything is made for a run on it.

Asked in a process of its own, as looking would cost torch; only for what a person named.
"""

import json
import subprocess

from tuillm.errors import UsageError
from tuillm.store.workers.processes import module_command, module_environment

_MODULE = "tuillm.training.device_probe"


def refuse_missing_device(device: str) -> None:
    """Raise UsageError when this machine has no such device; `auto` and `cpu` always are there."""
    if device in ("auto", "cpu"):
        return
    done = subprocess.run(
        module_command(_MODULE, device),
        env=module_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == UsageError.exit_code:
        raise UsageError(*json.loads(done.stdout))
