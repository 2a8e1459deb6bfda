"""What a run's process takes of this machine: CPU, memory, and the GPU where there is one.

Knows processes; asks NVIDIA's own tool about GPUs, since torch must not be loaded here.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class MachineUse:
    """`cpu` as a share of all `cores`; `memory` and `free` in bytes; `gpu` in words, or ''."""

    cpu: float
    cores: int
    memory: int
    free: int
    gpu: str = ""


class MachineWatch:
    """Looks at one process again and again; CPU is its share since the last look."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None

    def look(self, pid: int, *, gpu: bool = False) -> MachineUse | None:
        """Return what process `pid` uses, None when it is gone. With `gpu` takes some 50 ms."""
        try:
            if self._process is None or self._process.pid != pid:
                self._process = psutil.Process(pid)
                self._process.cpu_percent()  # the first answer is always 0
            cores = psutil.cpu_count() or 1
            with self._process.oneshot():
                cpu = self._process.cpu_percent() / 100 / cores
                memory = self._process.memory_info().rss
        except (psutil.Error, ValueError):
            self._process = None
            return None
        free = psutil.virtual_memory().available
        return MachineUse(cpu, cores, memory, free, gpu_words() if gpu else "")


def gpu_words() -> str:
    """What `nvidia-smi` says of the first GPU: '87%, 12.3 of 79.6 GiB'; '' without the tool."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    query = "--query-gpu=utilization.gpu,memory.used,memory.total"
    try:
        done = subprocess.run(
            [tool, query, "--format=csv,noheader,nounits"],
            timeout=5,
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
        )
        share, used, total = (float(part) for part in done.stdout.splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return ""
    return f"{share:.0f}%, {used / 1024:.1f} of {total / 1024:.1f} GiB"
