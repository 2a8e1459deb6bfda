"""Whether training runs compute on this machine's processor right now.

Looks at run folders, at most once a second, and reads only those whose status has changed. Knows
no torch.
"""

import os
import time
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.files import read_json
from tuillm.store.paths import runs_dir
from tuillm.store.run_folder import Run

_EVERY = 1.0
_COMPUTING = ("preparing", "running")


class Activity:
    """The training runs of this machine that are computing on its processor."""

    def __init__(self) -> None:
        self._looked = -_EVERY
        self._idle: dict[Path, int] = {}  # when those wrote their status that do not compute
        self._computing = False

    def training(self) -> bool:
        """Whether a run computes now beside a reply: it lives, is not paused, and not on a GPU.

        A run of low priority waits while a reply is generated.
        """
        if time.monotonic() - self._looked >= _EVERY:
            self._computing = self._look()
            self._looked = time.monotonic()
        return self._computing

    def _look(self) -> bool:
        try:
            folders = [Path(entry.path) for entry in os.scandir(runs_dir()) if entry.is_dir()]
        except OSError:
            return False
        return any(self._computes(folder) for folder in folders)

    def _computes(self, folder: Path) -> bool:
        try:
            written = (folder / "status.json").stat().st_mtime_ns
        except OSError:
            return False
        if self._idle.get(folder) == written:
            return False
        status = Run(folder.name, folder).status()
        if (
            status.state in _COMPUTING
            and status.device in (None, "cpu")
            and not (status.state == "running" and _gives_way(folder))
        ):
            return True
        self._idle[folder] = written
        return False


def _gives_way(folder: Path) -> bool:
    """Whether a run is of low priority; known without its settings' checks, which take a while."""
    try:
        return bool(read_json(folder / "run.json").get("priority", "low") == "low")
    except TuillmError:
        return False
