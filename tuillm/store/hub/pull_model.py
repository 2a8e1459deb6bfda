"""Pulls a model: plan, room, files, checksums, and then one rename into the registry.

Goes on where an earlier pull stopped, at the same commit. Knows the hub, the pull folder and the
registry; draws nothing. The tokenizer is `text`'s business: `accept` looks at it.
"""

import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tuillm import __version__
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.store.card import ModelCard
from tuillm.store.copy_files import link_or_copy
from tuillm.store.files import disk_error, remove_folder, write_json
from tuillm.store.http_download import have
from tuillm.store.hub import api as hub
from tuillm.store.hub.api import HubFile, Plan
from tuillm.store.hub.download import copy, fetch, is_whole
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.pull_folder import (
    PULLING,
    Pull,
    PullState,
    PullStatus,
    bytes_come,
    drop_files,
    kept_plan,
    partial_file,
    pull_lock,
    pull_of,
    refuse_other_source,
)
from tuillm.store.paths import ensure_dir, models_dir
from tuillm.store.process_id import this_process
from tuillm.store.registry import (
    WEIGHTS,
    Model,
    get_model,
    list_models,
    publish,
    read_model_entry,
    refuse_if_taken,
)
from tuillm.store.retry import retry_with_backoff
from tuillm.store.usage import refuse_if_used
from tuillm.units import size

# looked at and written this often, in seconds
_STATUS_EVERY = 0.5
_REPORT_EVERY = 0.1
# the rate is that of the last seconds
_RATE_OVER, _RATE_AFTER = 5.0, 0.5
# what a disk should have left beside the model, in bytes
_SPARE = 32_000_000

Report = Callable[[PullStatus], None]
Accept = Callable[[Path], str]


class Cancelled(Exception):
    """Somebody asked the pull to stop; what has come is kept."""


def pull(
    source: Source,
    name: str = "",
    *,
    replace: bool = False,
    report: Report = lambda status: None,
    accept: Accept = lambda folder: "gpt2",
) -> Model:
    """Fetch a model of the hub into the registry as `name` and return it.

    `report` is called with a fresh status, at most ten times a second. `accept` is called with the
    pull's folder before the weights are fetched, to return the tokenizer's kind or to raise
    TuillmError. Raises TuillmError when the model cannot be had, Cancelled when `control` asks for
    it; then, and on Ctrl-C, a later call goes on from there.
    """
    work = _Work(pull_of(name or source.name), source, replace, report)
    refuse_other_owner(source, work.pull.name, replace=replace)
    with pull_lock(work.pull):
        return work.run(accept)


def size_of(source: Source, name: str = "") -> tuple[int, int]:
    """Return the bytes that a pull of `source` has to bring, and how many are here already."""
    folder = pull_of(name or source.name)
    plan = kept_plan(folder, source) or _look_up(source, lambda came: None, lambda words: None)
    return plan.size, sum(bytes_come(folder, file.name) for file in plan.files)


def pulled_from(source: Source, name: str = "") -> Model | None:
    """Return the usable model that was pulled from `source`, under `name` or any other."""
    if not name:
        candidates = list_models()
    else:
        candidates = [get_model(name)] if (models_dir() / name).is_dir() else []
    return next(
        (
            model
            for model in candidates
            if model.card.origin == "pulled"
            and model.card.source == source.repo
            and (model.card.revision or "").startswith(source.revision)
            and not model.problem
        ),
        None,
    )


def refuse_other_owner(source: Source, name: str, *, replace: bool = False) -> None:
    """Raise TuillmError when the registry has another model of this name, or it is in use.

    So it does where a pull of something else was left under this name.
    """
    if replace:
        refuse_if_used(name, "replace")
    else:
        refuse_if_taken(name, "another name: --name NAME; in its place: --replace")
    left = pull_of(name)
    if left.status().state not in PULLING:  # one that is going tells of itself
        refuse_other_source(left, source)


class _Work:
    """One pull in this process, and what it tells of itself."""

    def __init__(self, folder: Pull, source: Source, replace: bool, report: Report) -> None:
        me = this_process()
        self.pull, self._source, self._report = folder, source, report
        self._status = PullStatus(
            repo=source.repo,
            revision=source.revision,
            name=folder.name,
            replace=replace,
            pid=me.pid,
            process_started=me.started,
            created=time.time(),
        )
        self._written = self._reported = 0.0
        self._came: deque[tuple[float, int]] = deque()
        self._fresh = 0
        self._file = ""

    def run(self, accept: Accept) -> Model:
        """Do all of it; whatever happens stands in the status at the end."""
        refuse_other_source(self.pull, self._source)
        ensure_dir(self.pull.path)
        before = self.pull.status()
        if before.state in PULLING:  # by whoever started this process, who may have cancelled it
            self._update(created=before.created)
        if before.source == self._source:
            self._update(done=before.done, total=before.total, commit=before.commit)
        self._tell("fetching")
        try:
            plan = self._planned()
            self._refuse_without_room(plan)
            kind, shape = "", None
            for file in plan.files:
                if file.name == WEIGHTS:
                    kind = accept(self.pull.path)
                self._bring(plan, file)
                if file.name == hub.CONFIG:
                    shape = hub.check_config(self.pull.path / file.name, self._source)
            model = self._publish(plan, kind, shape)
        except BaseException as error:
            self._tell_end(error)
            raise
        self._tell("finished")
        remove_folder(self.pull.path)
        return model

    def _planned(self) -> Plan:
        hub.check_settings()
        kept = kept_plan(self.pull, self._source)
        if kept and bytes_come(self.pull, WEIGHTS):
            plan = kept  # whatever the repository is by now, its files belong together
        else:
            plan = _look_up(self._source, self._tick, self._note)
            if plan != kept:
                drop_files(self.pull)
                write_json(self.pull.plan, asdict(plan) | {"revision": self._source.revision})
        self._update(
            commit=plan.commit,
            total=plan.size,
            files={file.name: (0, file.size) for file in plan.files},
        )
        self._count()
        return plan

    def _refuse_without_room(self, plan: Plan) -> None:
        missing = self._status.total - self._status.done
        free = shutil.disk_usage(self.pull.path).free
        if missing and free < missing + _SPARE:
            raise TuillmError(
                f"no room for {self._source}: {size(missing)} are missing, and {size(free)} are "
                f"free at {self.pull.path}",
                "free some space, or set TUILLM_HOME to another disk",
            )

    def _bring(self, plan: Plan, file: HubFile) -> None:
        """Have one file whole and checked: from the cache, from before, from the hub."""
        target = self.pull.path / file.name
        if have(target) == file.size and target.exists():
            return  # it has been checked: only then it gets its name
        partial = partial_file(self.pull, file.name)
        self._file = file.name
        cached = plan.cached(file) if have(partial) < file.size else None
        if cached and is_whole(cached, file, self._tick):
            copy(cached, partial, self._tick)
        else:
            fetch(plan, file, partial, self._source, self._tick, self._note)
        if not self._keep(file, partial):
            raise TuillmError(
                f"{file.name} of {self._source} came damaged: its checksum is not what the hub "
                "tells; it was thrown away",
                f"fetch it again: tuillm pull {self._source}",
            )

    def _keep(self, file: HubFile, partial: Path) -> bool:
        """Check a file and give it its name, or throw it away."""
        if file.name == WEIGHTS:
            self._tell("verifying")
        if not is_whole(partial, file, self._tick):
            self._tick(-have(partial))
            partial.unlink()
            self._tell("fetching")
            return False
        try:
            with partial.open("rb+") as content:
                os.fsync(content.fileno())
            os.replace(partial, self.pull.path / file.name)
        except OSError as error:
            raise disk_error(error, partial) from None
        return True

    def _publish(self, plan: Plan, kind: str, shape: GPTConfig | None) -> Model:
        if shape is None:  # a kept plan that somebody has changed
            raise TuillmError(
                f"the plan of {self._source} has no {hub.CONFIG}",
                f"start anew: tuillm pull {self._source} --discard",
            )
        hub.check_weights(self.pull.path / WEIGHTS, shape, self._source)
        if problem := read_model_entry(self.pull.path).problem:
            raise TuillmError(f"{self._source} is damaged on the hub itself: {problem}")
        card = ModelCard(
            origin="pulled",
            source=plan.repo,
            revision=plan.commit,
            tokenizer=kind,
            parameters=shape.parameter_count,
            tuillm_version=__version__,
        )
        with publish(self.pull.name, card, replace=self._status.replace) as folder:
            for file in plan.files:
                link_or_copy(self.pull.path / file.name, folder / file.name)
        return get_model(self.pull.name)

    # what it tells

    def _tick(self, came: int) -> None:
        """Count bytes; now and then write the status, report it, and see whether to stop."""
        if came:
            done, total = self._status.files.get(self._file, (0, 0))
            self._status.files[self._file] = (done + came, total)
            self._status.done += came
            self._fresh += max(came, 0)
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._pace(now)
            self._report(self._status.model_copy())
            if self.pull.cancel_requested(self._status.created):
                raise Cancelled
        if now - self._written >= _STATUS_EVERY:
            self._write(now)

    def _count(self) -> None:
        """Take what has come from the disk itself."""
        files = {
            name: (bytes_come(self.pull, name), size)
            for name, (_, size) in self._status.files.items()
        }
        self._update(files=files, done=sum(come for come, _ in files.values()))

    def _note(self, words: str) -> None:
        self._update(note=words)
        self._tick(0)

    def _pace(self, now: float) -> None:
        if not self._fresh:  # asking the hub is no part of the rate
            return
        self._came.append((now, self._fresh))
        while now - self._came[0][0] > _RATE_OVER and len(self._came) > 2:
            self._came.popleft()
        (began, before), left = self._came[0], self._status.total - self._status.done
        # the first moment says nothing yet
        rate = (self._fresh - before) / (now - began) if now - began >= _RATE_AFTER else 0.0
        self._update(rate=rate or None, eta=left / rate if rate else None)

    def _tell(self, state: PullState, error: str | None = None, hint: str | None = None) -> None:
        self._update(state=state, error=error, hint=hint or None, note="")
        if state not in PULLING:
            self._update(rate=None, eta=None)
        self._write(time.monotonic())
        self._report(self._status.model_copy())

    def _tell_end(self, error: BaseException) -> None:
        self._count()
        with suppress(TuillmError):  # on a full disk that cannot be written down
            if isinstance(error, Cancelled | KeyboardInterrupt | SystemExit):
                self._tell("cancelled")
            elif isinstance(error, TuillmError):
                self._tell("failed", error.message, error.hint)
            else:
                self._tell("failed", repr(error))

    def _write(self, now: float) -> None:
        self._written = now
        self._update(heartbeat=time.time())
        self.pull.write_status(self._status)

    def _update(self, **values: object) -> None:
        self._status = self._status.model_copy(update=values)


def _look_up(source: Source, tick: Callable[[int], None], note: Callable[[str], None]) -> Plan:
    return retry_with_backoff(lambda: hub.look_up(source), lambda: False, tick, note)
