"""Run folders: the only thing between a worker and whoever watches or steers it.

    run.json        the TrainConfig; never changes
    status.json     replaced whole: state, process, step, best, eta, error (see Status)
    metrics.jsonl   one object a step
    samples.jsonl   text sampled at each evaluation
    log.txt         what the worker printed
    control         requests, one JSON object a line
    lock            held by the worker as long as it lives
    last/ best/     checkpoints

Knows files and processes; knows nothing of torch, and draws nothing.
"""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.store.files import (
    append_json,
    disk_error,
    first_free_name,
    hold,
    read_json,
    remove_folder,
    write_json,
)
from tuillm.store.locks import Lock
from tuillm.store.names import check_name, name_from
from tuillm.store.paths import ensure_dir, runs_dir
from tuillm.store.processes import ProcessId, owner_lives
from tuillm.store.temporary import clear_leftovers, temporary_folder

State = Literal["preparing", "running", "paused", "finished", "stopped", "failed", "lost"]
Request = Literal["pause", "resume", "stop", "eval", "sample", "extend"]

ACTIVE: tuple[State, ...] = ("preparing", "running", "paused")
RESUMABLE: tuple[State, ...] = ("stopped", "failed", "lost")
_MOST_STEPS = 1_000_000_000


class Status(BaseModel):
    """The contents of `status.json`. Times are seconds; `heartbeat`, `created` since 1970.

    `val_loss` and `bits_per_byte` are the best so far, `best_step` when that was; `notes`
    are sentences about what was decided for the person; `model` is the published name.
    `before_loss` and `before_bits_per_byte` are those of the model that the run started from.
    `extended_steps` is by how much the run was extended beyond its settings, all in all.
    """

    model_config = ConfigDict(extra="ignore")

    state: State = "preparing"
    pid: int = 0
    process_started: float = 0.0
    created: float = 0.0
    heartbeat: float = 0.0
    step: int = 0
    progress: float = 0.0
    epoch: float = 0.0
    elapsed: float = 0.0
    eta: float | None = None
    extended_steps: int = 0
    train_loss: float | None = None
    tokens_per_sec: float | None = None
    val_loss: float | None = None
    bits_per_byte: float | None = None
    best_step: int | None = None
    before_loss: float | None = None
    before_bits_per_byte: float | None = None
    parameters: int | None = None
    train_tokens: int | None = None
    val_tokens: int | None = None
    device: str | None = None
    dtype: str | None = None
    notes: tuple[str, ...] = ()
    model: str | None = None
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Asked:
    """One line of `control`: a request, and for `extend` the number of steps."""

    request: Request
    steps: int = 0


@dataclass(frozen=True)
class Run:
    """One run folder. Every read goes to disk, so it is as fresh as the folder."""

    id: str
    path: Path

    @property
    def config(self) -> TrainConfig:
        """The settings of the run; raises TuillmError when `run.json` is damaged."""
        try:
            return TrainConfig.model_validate(read_json(self.path / "run.json"))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise TuillmError(f"{self.path / 'run.json'} is damaged: {problem}") from None

    def status(self) -> Status:
        """What the run says of itself now; a run whose process is gone is `lost`."""
        status = self.recorded()
        if status.state in ACTIVE and not self.has_worker(status):
            status = self.recorded()  # it may have ended in order since it was read
            if status.state in ACTIVE:
                return status.model_copy(update={"state": "lost", "eta": None})
        return status

    def has_worker(self, status: Status) -> bool:
        """Whether the process that wrote an active status is alive: whether it holds the lock."""
        return owner_lives(self.lock, ProcessId(status.pid, status.process_started))

    def recorded(self) -> Status:
        """What the run has last said of itself, whether its process is alive or not."""
        try:
            return Status.model_validate(read_json(self.path / "status.json"))
        except TuillmError as error:
            return Status(state="lost", error=error.message)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            return Status(state="lost", error=f"status.json is damaged: {problem}")

    def take(self) -> Lock:
        """Be the one process that works in the folder, until the lock is released.

        Raises TuillmError when another is, or when the disk refuses.
        """
        return hold(self.lock, lambda: TuillmError(
            f"run {self.id!r} has a worker already", f"watch it: tuillm runs attach {self.id}"),
            wait=2)  # one that has just ended

    def write_status(self, status: Status) -> None:
        """Replace `status.json`."""
        write_json(self.path / "status.json", status.model_dump(mode="json"))

    def request(self, request: Request, steps: int = 0) -> None:
        """Ask the worker for something; it answers at the next step boundary.

        `extend` asks for `steps` more; raises UsageError when these are less than one.
        """
        if request == "extend":
            check_extension(steps)
        number = {"steps": steps} if request == "extend" else {}
        append_json(self.path / "control", {"request": request, **number, "time": time.time()})

    @property
    def lock(self) -> Path:
        """What the worker holds."""
        return self.path / "lock"

    @property
    def control(self) -> Path:
        """Requests from outside, one JSON object a line."""
        return self.path / "control"

    @property
    def metrics(self) -> Path:
        """One JSON object a step; after a resume the steps since the checkpoint come again.

        Before these stands the mark `{"resumed": STEP, "time": ...}`, which has no `step`.
        """
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """One JSON object an evaluation: step and text."""
        return self.path / "samples.jsonl"

    @property
    def log(self) -> Path:
        """What the worker printed."""
        return self.path / "log.txt"

    @property
    def last(self) -> Path:
        """The checkpoint from which the run can go on."""
        return self.path / "last"

    @property
    def best(self) -> Path:
        """The model with the lowest loss so far."""
        return self.path / "best"

    def as_json(self) -> dict[str, Any]:
        """The run as one JSON object (`tuillm runs show ID --json`)."""
        return {"id": self.id, "path": str(self.path)} | self.status().model_dump(mode="json")


def model_name(config: TrainConfig) -> str:
    """The name under which a run publishes: the one given, else one made from the corpus."""
    return check_name(config.name) if config.name else name_from("".join(config.corpus[:1]))


def create_run(config: TrainConfig, process: ProcessId) -> Run:
    """Make a new run folder `NAME-1`, `NAME-2`... in state `preparing`, owned by `process`.

    Its paths are absolute from then on: a run may be taken up again from any directory.
    """
    ensure_dir(runs_dir())
    clear_leftovers(runs_dir())
    config = _with_absolute_paths(config)
    name = model_name(config)
    try:
        with temporary_folder(runs_dir() / name) as staging:
            write_json(staging / "run.json", config.model_dump(mode="json"))
            Run(name, staging).write_status(Status(
                pid=process.pid, process_started=process.started, created=time.time(),
                heartbeat=time.time()))
            path = first_free_name(staging, _numbered(name))
    except OSError as error:
        raise disk_error(error, runs_dir() / name) from None
    return Run(path.name, path)


def list_runs() -> list[Run]:
    """Return all runs, the oldest first."""
    if not runs_dir().is_dir():
        return []
    folders = [entry for entry in runs_dir().iterdir()
               if entry.is_dir() and not entry.name.startswith(".")]
    return [Run(folder.name, folder) for folder in sorted(folders, key=_age)]


def get_run(run_id: str) -> Run:
    """Return one run; raises TuillmError naming the nearest when there is none."""
    path = runs_dir() / run_id
    if not run_id or run_id != path.name or run_id.startswith(".") or not os.path.isdir(path):
        known = [run.id for run in list_runs()]
        raise TuillmError(
            f"no run named {run_id!r}", did_you_mean(run_id, known, "tuillm runs shows them")
        )
    return Run(run_id, path)


def remove_run(run: Run) -> None:
    """Remove a run folder; raises TuillmError while its process is alive."""
    if run.status().state in ACTIVE:
        raise TuillmError(f"run {run.id!r} is still going", f"tuillm runs stop {run.id}")
    with run.take():  # nobody takes it up in this moment
        remove_folder(run.path)


def active_run_for(name: str) -> Run | None:
    """Return the run that is growing a model of this name right now, if there is one."""
    for run in list_runs():
        try:
            if run.status().state in ACTIVE and model_name(run.config) == name:
                return run
        except TuillmError:
            continue
    return None


def requests(run: Run, offset: int) -> tuple[list[Asked], int]:
    """Return what `control` asks for from byte `offset` on, and the new offset.

    Lines that ask for nothing there is are passed over.
    """
    rows, offset = read_rows(run.control, offset)
    return [asked for row in rows if (asked := _asked(row))], offset


def steps_of(text: str) -> int:
    """Return the number of steps that a person has typed; raises UsageError for anything else."""
    digits = text.strip().replace(",", "")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) <= _MOST_STEPS:
        raise UsageError(f"{text!r} is no number of steps", "a whole number from 1 on")
    return int(digits)


def check_extension(steps: int) -> int:
    """Return the steps that a run is to take in addition; raises UsageError for less than one."""
    if type(steps) is not int or steps < 1:
        raise UsageError(f"a run cannot be extended by {steps!r} steps", "allowed: 1 or more")
    return steps


def read_rows(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the JSON objects of the whole lines from byte `offset` on, and the new offset.

    A torn last line is left for the next call, damaged lines are passed over; a file that
    is missing is empty, and one that has shrunk is read from its beginning.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size < offset:
                offset = 0
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], 0
    whole = content[: content.rfind(b"\n") + 1]
    rows = []
    for line in whole.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows, offset + len(whole)


def read_tail(path: Path, limit: int = 65_536) -> list[dict[str, Any]]:
    """Return the JSON objects of the last whole lines, from at most `limit` bytes."""
    try:
        size = path.stat().st_size
    except OSError:
        return []
    return read_rows(path, max(size - limit, 0))[0]


def metric_rows(run: Run) -> Iterator[dict[str, Any]]:
    """Yield a run's metrics by step; what a resume took up again counts as it was then."""
    rows: list[dict[str, Any]] = []
    for row in read_rows(run.metrics)[0]:
        if "step" in row:
            while rows and rows[-1]["step"] >= row["step"]:
                rows.pop()
            rows.append(row)
    return iter(rows)


def _asked(row: dict[str, Any]) -> Asked | None:
    request: Any = row.get("request")
    steps = row.get("steps")
    if request not in get_args(Request):
        return None
    if request != "extend":
        return Asked(request)
    return Asked(request, steps) if type(steps) is int and steps > 0 else None


def _with_absolute_paths(config: TrainConfig) -> TrainConfig:
    corpus = tuple(source if "://" in source else os.path.abspath(os.path.expanduser(source))
                   for source in config.corpus)
    parent = config.init_from
    if parent and parent != os.path.basename(parent):  # a folder, no name of the registry
        parent = os.path.abspath(os.path.expanduser(parent))
    return config.model_copy(update={"corpus": corpus, "init_from": parent})


def _numbered(name: str) -> Iterator[Path]:
    """Return the folders that a new run may have: numbers go on from the highest there is."""
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    matches = (pattern.fullmatch(run.id) for run in list_runs())
    number = max((int(match[1]) for match in matches if match), default=0) + 1
    return (runs_dir() / f"{name}-{each}" for each in itertools.count(number))


def _age(folder: Path) -> tuple[float, str]:
    try:
        return (folder / "run.json").stat().st_mtime, folder.name
    except OSError:
        return 0.0, folder.name
