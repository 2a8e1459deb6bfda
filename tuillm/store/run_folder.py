"""Run folders: the only thing between a worker and whoever watches or steers it.

    run.json        the TrainConfig; never changes
    corpus.json     where the text is now, if it is no longer where run.json says
    status.json     replaced whole: state, process, step, best, eta, error (see Status)
    metrics.jsonl   one object a step
    samples.jsonl   text sampled at each evaluation
    log.txt         what the worker printed
    control         requests, one JSON object a line
    lock            held by the worker as long as it lives
    last/ best/     checkpoints, and step-N/ those that are kept beside them
    profile.txt     where the time of a step goes, and trace.json the same for perfetto
    forecast.json   what was known before the first step, where the run is logged to other tools
    loggers/        how far each of those is, NAME.json
    reserve         given back when the disk is full, so that the status can be written

Knows files and processes; knows nothing of torch, and draws nothing.
"""

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError, brief, did_you_mean
from tuillm.formats.json_text import JsonObject
from tuillm.store.entry_names import check_name, name_from
from tuillm.store.files import (
    disk_error,
    first_free_name,
    hold,
    read_json,
    remove_folder,
    write_json,
)
from tuillm.store.jsonl import MetricsRow, latest_steps, read_metrics
from tuillm.store.locks import Lock, holder_of
from tuillm.store.paths import ensure_dir, runs_dir
from tuillm.store.process_id import ProcessId
from tuillm.store.run_control import Request, ask
from tuillm.store.run_status import ACTIVE, State, Status
from tuillm.store.temp_files import clear_leftovers, temporary_folder
from tuillm.store.workers.processes import owner_lives
from tuillm.urls import stored_url
from tuillm.user_paths import user_path

TRAINER = "trainer.json"  # in a checkpoint, how far it is


@dataclass(frozen=True)
class Run:
    """One run folder. Every read goes to disk, so it is as fresh as the folder."""

    id: str
    path: Path

    @property
    def config(self) -> TrainConfig:
        """The settings of the run, with its text where it is now.

        Raises TuillmError when `run.json` or `corpus.json` is damaged.
        """
        values, moved = read_json(self.path / "run.json"), self.path / "corpus.json"
        if moved.exists():
            values["corpus"] = read_json(moved).get("corpus")
        if "split" not in values:  # runs of earlier versions held out the end of the text
            values |= {
                "split": "tail",
                "documents": "file",
                "format": "text",
                "keep_boilerplate": True,
                "as_text": True,
            }
        try:
            return TrainConfig.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            of_text = moved.exists() and first["loc"][:1] == ("corpus",)
            file = moved if of_text else self.path / "run.json"
            raise TuillmError(f"{file} is damaged: {first['msg']}") from None

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
        return hold(
            self.lock,
            lambda: TuillmError(
                f"run {self.id!r} has a worker already{holder_of(self.lock)}",
                f"watch it: tuillm runs attach {self.id}",
            ),
            wait=2,
        )  # one that has just ended

    def move_corpus(self, corpus: tuple[str, ...]) -> None:
        """Note that the text is now at these absolute paths or addresses; `run.json` stays."""
        write_json(self.path / "corpus.json", {"corpus": corpus, "moved": time.time()})

    def write_status(self, status: Status) -> None:
        """Replace `status.json`."""
        write_json(self.path / "status.json", status.model_dump(mode="json"))

    def request(self, request: Request, steps: int = 0) -> None:
        """Ask the worker for something; it answers at the next step boundary.

        `extend` asks for `steps` more; raises UsageError when these are less than one.
        """
        ask(self.control, request, steps)

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
    def forecast(self) -> Path:
        """What was known of the run before its first step."""
        return self.path / "forecast.json"

    @property
    def log(self) -> Path:
        """What the worker printed."""
        return self.path / "log.txt"

    @property
    def last(self) -> Path:
        """The checkpoint from which the run can go on."""
        return self.path / "last"

    @property
    def checkpoint(self) -> Path:
        """The file that tells how far `last` is; without it there is nothing to go on from."""
        return self.last / TRAINER

    @property
    def best(self) -> Path:
        """The model with the lowest loss so far."""
        return self.path / "best"

    def as_json(self) -> JsonObject:
        """The run as one JSON object (`tuillm runs show ID --json`)."""
        return {"id": self.id, "path": str(self.path)} | self.status().model_dump(mode="json")


def model_name(config: TrainConfig) -> str:
    """The name under which a run publishes: the one given, else one made from the corpus."""
    return check_name(config.name) if config.name else name_from("".join(config.corpus[:1]))


def create_run(config: TrainConfig, process: ProcessId, state: State = "preparing") -> Run:
    """Make a new run folder `NAME-1`, `NAME-2`... in this state, owned by `process`.

    Its paths are absolute from then on: a run may be taken up again from any directory. Its
    addresses are without their secrets: what was fetched with them is found in the cache.
    """
    ensure_dir(runs_dir())
    clear_leftovers(runs_dir())
    config = _with_absolute_paths(config)
    name = model_name(config)
    try:
        with temporary_folder(runs_dir() / name) as staging:
            write_json(staging / "run.json", config.model_dump(mode="json"))
            Run(name, staging).write_status(
                Status(
                    state=state,
                    pid=process.pid,
                    process_started=process.started,
                    created=time.time(),
                    heartbeat=time.time(),
                )
            )
            path = first_free_name(staging, _numbered(name))
    except OSError as error:
        raise disk_error(error, runs_dir() / name) from None
    return Run(path.name, path)


def list_runs() -> list[Run]:
    """Return all runs, the oldest first."""
    if not runs_dir().is_dir():
        return []
    folders = [
        entry for entry in runs_dir().iterdir() if entry.is_dir() and not entry.name.startswith(".")
    ]
    return [Run(folder.name, folder) for folder in sorted(folders, key=_age)]


def get_run(run_id: str) -> Run:
    """Return one run; raises TuillmError naming the nearest when there is none."""
    path = runs_dir() / run_id
    if not run_id or run_id != path.name or run_id.startswith(".") or not os.path.isdir(path):
        known = [run.id for run in list_runs()]
        raise TuillmError(
            f"no run named {brief(run_id)}", did_you_mean(run_id, known, "tuillm runs shows them")
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


def metric_rows(run: Run) -> Iterator[MetricsRow]:
    """Yield a run's metrics by step; what a resume took up again counts as it was then."""
    return latest_steps(read_metrics(run.metrics)[0])


def _with_absolute_paths(config: TrainConfig) -> TrainConfig:
    corpus = tuple(
        stored_url(source) if "://" in source else os.path.abspath(user_path(source))
        for source in config.corpus
    )
    parent = config.init_from
    if parent and parent != os.path.basename(parent):  # a folder, no name of the registry
        parent = os.path.abspath(user_path(parent))
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
