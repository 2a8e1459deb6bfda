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
    if device not in ("auto", "cpu"):
        which_device(device)


def which_device(device: str) -> str:
    """Return the device (cpu, cuda, mps) that a name stands for, which may be `auto`.

    Raises UsageError when this machine has no such device, TuillmError where that cannot be found
    out.
    """
    if device == "cpu":
        return device
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
    found = read_answer(done.stdout.splitlines(keepends=True), "the look at the device")
    if done.returncode:
        raise UsageError(str(found.get("error")), str(found.get("hint", "")))
    return str(found.get("device"))
