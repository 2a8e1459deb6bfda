"""What is wrong with the data directory after crashes and full disks, and how it is mended.

Knows the registry, run folders and what a crash leaves beside them; loads no torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.files import recover_folder
from tuillm.store.paths import data_dir, models_dir, runs_dir
from tuillm.store.registry import read_model_entry, registry_lock
from tuillm.store.run_folder import Run, list_runs
from tuillm.store.temp_files import clear_leftovers, hidden_by_replacement, leftovers


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    `what` says it in a line, `command` what a person may type about it, "" for nothing; `mend`
    puts it right without losing anything, None where only a person can decide.
    """

    what: str
    command: str = ""
    mend: Callable[[], None] | None = None


def findings() -> list[Finding]:
    """Look at the data directory; nothing is changed."""
    return [*_half_written(), *_hidden(), *_models(), *_runs()]


def _half_written() -> Iterator[Finding]:
    """What crashed processes were making, replacing or removing."""
    for folder in (models_dir(), runs_dir(), *(run.path for run in list_runs()), data_dir()):
        hidden = hidden_by_replacement(folder) if folder.is_dir() else []
        left = [path for path in leftovers(folder) if not _holds(path, hidden)]
        if left:
            yield Finding(
                f"{len(left)} left half made by a crash in {folder}",
                mend=lambda folder=folder: clear_leftovers(folder),  # type: ignore[misc]
            )


def _hidden() -> Iterator[Finding]:
    """What was moved aside to be replaced when the process died, and is whole."""
    for folder in (models_dir(), *(run.path for run in list_runs())):
        for name in hidden_by_replacement(folder) if folder.is_dir() else []:
            path = folder / name
            if not path.exists():
                yield Finding(
                    f"{path} was being replaced when the process died",
                    mend=lambda path=path: _put_back(path),  # type: ignore[misc]
                )


def _put_back(path: Path) -> None:
    if path.parent == models_dir():
        with registry_lock():  # which puts back what was hidden
            return
    recover_folder(path)


def _models() -> Iterator[Finding]:
    entries = models_dir().iterdir() if models_dir().is_dir() else []
    # a listing would put back what is hidden, and here nothing is changed
    for path in sorted(entry for entry in entries if not entry.name.startswith(".")):
        if (model := read_model_entry(path)).problem:
            yield Finding(f"model {model.name!r}: {model.problem}", f"tuillm rm {model.name}")


def _runs() -> Iterator[Finding]:
    for run in list_runs():
        try:
            run.config  # noqa: B018
        except TuillmError as error:
            yield Finding(error.message, f"tuillm runs rm {run.id}")
            continue
        yield from _run(run)


def _run(run: Run) -> Iterator[Finding]:
    status = run.status()
    if status.state == "lost":
        what = status.error or "its process is gone"
        yield Finding(f"run {run.id!r} is lost: {what}", f"tuillm runs resume {run.id}")
    elif status.state == "failed":
        yield Finding(f"run {run.id!r} failed: {status.error}", f"see {run.log}")


def _holds(path: Path, hidden: list[str]) -> bool:
    """Whether a leftover is a folder that was being replaced, and may be the only one."""
    return any(path.name.startswith(f".{name}.old.") for name in hidden)
