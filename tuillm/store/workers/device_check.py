"""Whether a device is there, before anything is made for a run on it.

Asked in a process of its own, as looking would cost torch; only for what a person named.
"""

import subprocess

from tuillm.errors import UsageError
from tuillm.store.workers.json_lines import read_answer
from tuillm.store.workers.processes import module_command, module_environment

_MODULE = "tuillm.training.device_probe"


def refuse_missing_device(device: str) -> None:
    """Raise UsageError when this machine has no such device; `auto` and `cpu` always are there.

    Raises TuillmError where that cannot be found out.
    """
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
    if done.returncode:
        found = read_answer(done.stdout.splitlines(keepends=True), "the look at the device")
        raise UsageError(str(found.get("error")), str(found.get("hint", "")))
