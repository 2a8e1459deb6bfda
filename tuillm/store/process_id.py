"""A process of this machine: its number and when it started, since numbers come again.

A start time changes with the clock, so that this counts only where no lock tells more.
"""

import os
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class ProcessId:
    """One process of this machine, told apart from a later one with the same number."""

    pid: int
    started: float

    @property
    def alive(self) -> bool:
        """Whether this very process is still running (a zombie is not)."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # start times are rounded to clock ticks on some systems
            return abs(process.create_time() - self.started) < 1.0
        except (psutil.NoSuchProcess, ValueError):  # a damaged file may say any number
            return False
        except psutil.AccessDenied:
            return True


def this_process() -> ProcessId:
    """The process that runs this code."""
    return ProcessId(os.getpid(), psutil.Process().create_time())
