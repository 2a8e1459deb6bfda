"""All models, all runs and all pulls at once, read again only where the disk has changed.

Knows folders and their stamps. A thousand models cost half a second to read and a few
milliseconds to look over; whoever watches the registry keeps one of these and refreshes it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.card import CARD
from tuillm.store.hub.pull_folder import PullStatus, list_pulls
from tuillm.store.paths import models_dir, runs_dir
from tuillm.store.registry import WEIGHTS, Model, read_model_entry
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE, Status

_Stamp = tuple[int, ...]


@dataclass(frozen=True)
class RunEntry:
    """A run as it was at one moment; `config` is None where `run.json` is damaged."""

    run: Run
    status: Status
    config: TrainConfig | None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id


class ModelsSnapshot:
    """The registry's models; `refresh` reads those that are new or have changed."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self._read: dict[str, tuple[_Stamp, Model]] = {}

    def refresh(self) -> bool:
        """Look at the disk; return whether anything changed since the last look."""
        now: dict[str, tuple[_Stamp, Model]] = {}
        for name in _folders(models_dir()):
            path = models_dir() / name
            stamp = _stamp(path, path / CARD, path / "config.json", path / WEIGHTS)
            known = self._read.get(name)
            now[name] = known if known and known[0] == stamp else (stamp, read_model_entry(path))
        changed = {name: stamp for name, (stamp, _) in now.items()} != {
            name: stamp for name, (stamp, _) in self._read.items()
        }
        self._read = now
        self.models = [model for _, (_, model) in sorted(now.items())]
        return changed


class RunsSnapshot:
    """All runs, the newest first; `refresh` reads the status of those that wrote a new one."""

    def __init__(self) -> None:
        self.runs: list[RunEntry] = []
        self._read: dict[str, tuple[_Stamp, RunEntry]] = {}

    def refresh(self) -> bool:
        """Look at the disk and at the processes; return whether anything changed."""
        now: dict[str, tuple[_Stamp, RunEntry]] = {}
        for name in _folders(runs_dir()):
            path = runs_dir() / name
            settings = _stamp(path / "run.json", path / "corpus.json")
            stamp = settings + _stamp(path / "status.json")
            known = self._read.get(name)
            if known and known[0] == stamp and _still_true(known[1]):
                now[name] = known
            else:
                same = known[1] if known and known[0][: len(settings)] == settings else None
                now[name] = (stamp, _read_run(Run(name, path), same))
        changed = now != self._read
        self._read = now
        entries = (entry for _, entry in now.values())
        self.runs = sorted(entries, key=lambda entry: (-entry.status.created, entry.id))
        return changed


class PullsSnapshot:
    """All pulls that are going or were left, by name."""

    def __init__(self) -> None:
        self.pulls: list[PullStatus] = []

    def refresh(self) -> bool:
        """Look at the disk and at the processes; return whether anything changed."""
        before, self.pulls = self.pulls, [pull.status() for pull in list_pulls()]
        return self.pulls != before


def _read_run(run: Run, before: RunEntry | None) -> RunEntry:
    """Read a run; `before` is what was known of it with the same settings."""
    config = before.config if before else None
    if config is None:
        try:
            config = run.config
        except TuillmError:
            config = None
    return RunEntry(run, run.status(), config)


def _still_true(entry: RunEntry) -> bool:
    """Whether an unchanged status file still says the truth: nobody writes down a sudden death."""
    return entry.status.state not in ACTIVE or entry.run.has_worker(entry.status)


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
            ]
    except OSError:
        return []


def _stamp(*paths: Path) -> _Stamp:
    stamps: list[int] = []
    for path in paths:
        try:
            stat = os.stat(path)
            stamps += (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except OSError:
            stamps.append(-1)
    return tuple(stamps)
