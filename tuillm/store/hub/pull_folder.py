"""Pull folders: what is being fetched from the hub, and how whoever looks on sees and steers it.

    plan.json       repository, commit and files with their checksums; made anew until weights come
    status.json     replaced whole, at most twice a second (see PullStatus)
    FILE.partial    what has come of a file; FILE once its checksum was right
    control         requests from outside, one JSON object a line: cancel
    log.txt         what a pull in the background printed

A pull folder is no model: it lies outside the registry, and goes when its model is published.
Knows files and processes; asks no network.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tuillm.errors import TuillmError, did_you_mean
from tuillm.formats.json_text import JsonObject
from tuillm.store.entry_names import check_name
from tuillm.store.files import append_json, hold, read_json, remove_folder, write_json
from tuillm.store.http_download import have
from tuillm.store.hub.api import HubFile, Plan, is_weights
from tuillm.store.hub.hub_names import Source
from tuillm.store.jsonl import read_rows
from tuillm.store.locks import Lock
from tuillm.store.paths import ensure_dir, pulls_dir
from tuillm.store.process_id import ProcessId, this_process
from tuillm.store.temp_files import clear_leftovers
from tuillm.store.workers.processes import owner_lives, start_detached

PullState = Literal["fetching", "verifying", "finished", "cancelled", "failed", "lost"]
PULLING: tuple[PullState, ...] = ("fetching", "verifying")
_PARTIAL = ".partial"
# what lies in a pull folder beside the files of the model
_OURS = ("plan.json", "status.json", "control", "log.txt")


class PullStatus(BaseModel):
    """The contents of `status.json`, and what a pull reports while it goes.

    `revision` is what was asked for, '' for the newest, `commit` what that is. `done`, `total` and
    `files` (done and total by name) are bytes, `rate` bytes per second, `eta` seconds; `created`
    and `heartbeat` are seconds since 1970. `note` says what is being waited for.
    """

    model_config = ConfigDict(extra="ignore")

    state: PullState = "fetching"
    repo: str = ""
    revision: str = ""
    commit: str = ""
    name: str = ""
    replace: bool = False
    pid: int = 0
    process_started: float = 0.0
    created: float = 0.0
    heartbeat: float = 0.0
    done: int = 0
    total: int = 0
    files: dict[str, tuple[int, int]] = {}
    rate: float | None = None
    eta: float | None = None
    note: str = ""
    error: str | None = None
    hint: str | None = None

    @property
    def source(self) -> Source:
        """What is being pulled."""
        return Source(self.repo, self.revision)

    @property
    def fraction(self) -> float:
        """How much of it has come, from 0 to 1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0


@dataclass(frozen=True)
class Pull:
    """One pull folder. Every read goes to disk, so it is as fresh as the folder."""

    name: str
    path: Path

    def status(self) -> PullStatus:
        """What the pull says of itself now; one whose process is gone is `lost`."""
        try:
            status = PullStatus.model_validate(read_json(self.path / "status.json"))
        except TuillmError as error:
            return PullStatus(state="lost", name=self.name, error=error.message)
        except ValidationError as error:
            return PullStatus(
                state="lost",
                name=self.name,
                error=f"status.json is damaged: {error.errors()[0]['msg']}",
            )
        if status.state in PULLING and not owner_lives(
            self.lock, ProcessId(status.pid, status.process_started)
        ):
            return status.model_copy(update={"state": "lost", "rate": None, "eta": None})
        return status

    def write_status(self, status: PullStatus) -> None:
        """Replace `status.json`."""
        write_json(self.path / "status.json", status.model_dump(mode="json"))

    def request_cancel(self) -> None:
        """Ask the process to stop; it keeps what has come."""
        append_json(self.control, {"request": "cancel", "time": time.time()})

    def cancel_requested(self, since: float) -> bool:
        """Whether somebody has asked the pull to stop since a moment, in seconds since 1970."""
        rows = read_rows(self.control)[0]
        return any(
            row.get("request") == "cancel"
            and isinstance(at := row.get("time"), float)
            and at >= since
            for row in rows
        )

    @property
    def control(self) -> Path:
        """Requests from outside, one JSON object a line."""
        return self.path / "control"

    @property
    def lock(self) -> Path:
        """What the process that pulls holds; it lies beside the folder, so that it outlives it."""
        return self.path.parent / f".{self.name}.lock"

    @property
    def plan(self) -> Path:
        """What is to be fetched."""
        return self.path / "plan.json"

    def as_json(self) -> JsonObject:
        """The pull as one JSON object (`tuillm pull --json`)."""
        return {"path": str(self.path)} | self.status().model_dump(mode="json")


def list_pulls() -> list[Pull]:
    """Return all pulls that are going or were left, by name."""
    try:
        names = [
            entry.name
            for entry in os.scandir(pulls_dir())
            if entry.is_dir() and not entry.name.startswith(".")
        ]
    except OSError:
        return []
    return [Pull(name, pulls_dir() / name) for name in sorted(names)]


def pull_of(name: str) -> Pull:
    """Return the pull folder of a model's name, which need not be there."""
    return Pull(check_name(name), pulls_dir() / name)


def get_pull(name: str) -> Pull:
    """Return one pull; raises TuillmError naming the nearest when there is none."""
    known = [pull.name for pull in list_pulls()]
    if name not in known:
        raise TuillmError(
            f"no pull of {name!r} is going or was left",
            did_you_mean(name, known, "tuillm pull shows them"),
        )
    return pull_of(name)


def cancel_pull(name: str) -> None:
    """Ask a pull to stop; raises TuillmError when it is not going."""
    pull = get_pull(name)
    if pull.status().state not in PULLING:
        raise TuillmError(
            f"the pull of {name!r} is not going: it is {pull.status().state}",
            f"go on with: tuillm pull {pull.status().source}",
        )
    pull.request_cancel()


def discard_pull(name: str) -> None:
    """Throw away what has come of a pull; raises TuillmError while it is going."""
    pull = get_pull(name)
    with pull_lock(pull):
        remove_folder(pull.path)


def has_weights(pull: Pull) -> bool:
    """Whether any byte of the weights has come."""
    return any(
        is_weights(path.name.removesuffix(_PARTIAL)) and have(path) > 0 for path in _files_of(pull)
    )


def refuse_other_source(pull: Pull, source: Source) -> None:
    """Raise TuillmError where weights of something else have come under this name."""
    if not has_weights(pull):
        return
    try:
        plan = read_json(pull.plan)
        left = Source(str(plan["repo"]), str(plan["revision"]))
    except (TuillmError, KeyError):
        left = pull.status().source
    if left.repo and left != source:
        raise TuillmError(
            f"a pull of {left} was left under the name {pull.name!r}",
            f"--name N, or tuillm pull {pull.name} --discard",
        )


def start_pull(source: Source, name: str = "", *, replace: bool = False) -> Pull:
    """Start a pull in the background, or take up one that was left; returns at once.

    Raises TuillmError when the model is being pulled already, or another was left under this name.
    """
    pull = pull_of(name or source.name)
    me = this_process()
    with pull_lock(pull) as lock:
        refuse_other_source(pull, source)
        ensure_dir(pull.path)
        before = pull.status()
        same = before.source == source
        pull.write_status(
            PullStatus(
                repo=source.repo,
                revision=source.revision,
                name=pull.name,
                replace=replace,
                pid=me.pid,
                process_started=me.started,
                created=time.time(),
                heartbeat=time.time(),
                done=before.done if same else 0,
                total=before.total if same else 0,
            )
        )
        _spawn(pull, [str(source), "--name", pull.name, *(["--replace"] if replace else [])], lock)
    return pull


@contextmanager
def pull_lock(pull: Pull) -> Iterator[Lock]:
    """Hold what only one process can: the right to fetch this model; raises TuillmError if taken.

    A process that was started for this pull has it from the beginning.
    """
    ensure_dir(pulls_dir())
    with hold(pull.lock, lambda: _pulled_already(pull)) as lock:
        clear_leftovers(pulls_dir(), before=True)
        clear_leftovers(pull.path, before=True)
        yield lock


def _pulled_already(pull: Pull) -> TuillmError:
    status = pull.status()
    return TuillmError(
        f"{pull.name!r} is being pulled already, by process {status.pid} "
        f"({status.fraction:.0%} of it is here)",
        f"stop that with: tuillm pull {pull.name} --cancel",
    )


def _spawn(pull: Pull, arguments: list[str], lock: Lock) -> None:
    owner = start_detached(
        "tuillm", ["pull", *arguments, "--worker"], pull.path / "log.txt", lock=lock
    )
    if lock.fd is None:  # the process is known by its number alone, as long as we are its owner
        status = pull.status()
        if pull.path.is_dir() and status.pid == this_process().pid:
            pull.write_status(
                status.model_copy(update={"pid": owner.pid, "process_started": owner.started})
            )


def kept_plan(folder: Pull, source: Source) -> Plan | None:
    """Return the plan of an earlier pull of the same thing, which stays at its commit."""
    try:
        kept = read_json(folder.plan)
        if (kept["repo"], kept["revision"]) != (source.repo, source.revision):
            return None
        files = tuple(HubFile(**file) for file in kept["files"])
        return Plan(kept["repo"], kept["commit"], files, str(kept.get("licence", "")))
    except (TuillmError, KeyError, TypeError):
        return None


def drop_files(folder: Pull) -> None:
    """Throw away what an earlier pull of something else has left."""
    for path in _files_of(folder):
        if path.name not in _OURS and not path.name.startswith("."):
            path.unlink(missing_ok=True)


def partial_file(folder: Pull, name: str) -> Path:
    """Where a file lies while it comes."""
    return folder.path / f"{name}{_PARTIAL}"


def bytes_come(folder: Pull, name: str) -> int:
    """Return how many bytes of a file have come."""
    return max(have(folder.path / name), have(partial_file(folder, name)))


def _files_of(folder: Pull) -> list[Path]:
    try:
        return [path for path in folder.path.iterdir() if path.is_file()]
    except OSError:
        return []
