"""Pulls a model: plan, room, files, checksums, and then one rename into the registry.

Goes on where an earlier pull stopped, at the same commit. Knows the hub, the pull folder and the
registry; draws nothing. The tokenizer is `text`'s business: `accept` looks at it.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tuillm import __version__
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.formats.safetensors_header import StoredTensor, read_header
from tuillm.formats.safetensors_index import INDEX
from tuillm.store.card import CARD, ModelCard, read_card
from tuillm.store.copy_files import link_or_copy
from tuillm.store.files import disk_error, remove_folder, write_json
from tuillm.store.http_download import have
from tuillm.store.hub import api as hub
from tuillm.store.hub.api import HubFile, Plan, is_weights
from tuillm.store.hub.download import copy, fetch, fetch_header, is_whole
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.join_shards import join_shards
from tuillm.store.hub.offer import Offer, make_offer, room_for
from tuillm.store.hub.pull_checks import check_config, check_headers, check_weights
from tuillm.store.hub.pull_folder import (
    PULLING,
    Pull,
    PullStatus,
    bytes_come,
    drop_files,
    kept_plan,
    partial_file,
    pull_lock,
    pull_of,
    refuse_other_source,
)
from tuillm.store.hub.pull_progress import Cancelled, PullProgress, Report
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

# what a disk should have left beside the model, in bytes
_SPARE = 32_000_000

Accept = Callable[[Path], str]
Present = Callable[[Offer], None]

__all__ = ["Cancelled", "pull", "pulled_from", "refuse_other_owner"]


def pull(
    source: Source,
    name: str = "",
    *,
    replace: bool = False,
    report: Report = lambda status: None,
    accept: Accept = lambda folder: "gpt2",
    present: Present = lambda offer: None,
) -> Model:
    """Fetch a model of the hub into the registry as `name` and return it.

    `report` is called with a fresh status, at most ten times a second. Before the weights are
    fetched `present` is called with what the model is and takes, and `accept` with the pull's
    folder, to return the tokenizer's kind or to raise TuillmError. Raises TuillmError when the
    model cannot be had, Cancelled when `control` asks for it; then, and on Ctrl-C, a later call
    goes on from there.
    """
    work = _Work(pull_of(name or source.name), source, replace, report)
    refuse_other_owner(source, work.pull.name, replace=replace)
    with pull_lock(work.pull):
        return work.run(accept, present)


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
    """One pull in this process."""

    def __init__(self, folder: Pull, source: Source, replace: bool, report: Report) -> None:
        me = this_process()
        self.pull, self._source, self._replace = folder, source, replace
        status = PullStatus(
            repo=source.repo,
            revision=source.revision,
            name=folder.name,
            replace=replace,
            pid=me.pid,
            process_started=me.started,
            created=time.time(),
        )
        self._progress = PullProgress(folder, status, report)

    def run(self, accept: Accept, present: Present) -> Model:
        """Do all of it; whatever happens stands in the status at the end."""
        refuse_other_source(self.pull, self._source)
        ensure_dir(self.pull.path)
        self._progress.begin(self.pull.status())
        try:
            plan = self._planned()
            self._refuse_without_room(plan)
            shape = self._small_files(plan, present)
            kind = accept(self.pull.path)
            for file in plan.weights:
                if plan.cached(file):  # which costs the network nothing
                    self._bring(plan, file)
            check_headers(
                plan, self.pull.path, shape, self._source, lambda file: self._header(plan, file)
            )
            for file in plan.weights:
                self._bring(plan, file)
            model = self._publish(plan, kind, shape)
        except BaseException as error:
            self._progress.tell_end(error)
            raise
        self._progress.tell("finished")
        remove_folder(self.pull.path)
        return model

    def _planned(self) -> Plan:
        hub.check_settings()
        kept = kept_plan(self.pull, self._source)
        if kept and any(bytes_come(self.pull, file.name) for file in kept.weights):
            plan = kept  # whatever the repository is by now, its files belong together
        else:
            plan = self._look_up()
            if plan != kept:
                drop_files(self.pull)
                write_json(self.pull.plan, asdict(plan) | {"revision": self._source.revision})
        self._progress.plan(plan.commit, ((file.name, file.size) for file in plan.files))
        return plan

    def _look_up(self) -> Plan:
        return retry_with_backoff(
            lambda: hub.look_up(self._source),
            lambda: False,
            self._progress.tick,
            self._progress.note,
        )

    def _refuse_without_room(self, plan: Plan) -> None:
        done = self._progress.status.done
        missing, free = room_for(plan, done), shutil.disk_usage(self.pull.path).free
        if missing and free < missing + _SPARE:
            twice = ", and its parts are put together" if len(plan.weights) > 1 else ""
            raise TuillmError(
                f"no room for {self._source}: {size(plan.size - done)} are missing{twice}, and "
                f"{size(free)} are free at {self.pull.path}",
                "free some space, or set TUILLM_HOME to another disk",
            )

    def _small_files(self, plan: Plan, present: Present) -> GPTConfig:
        """Have all but the weights, and return the shape that the config tells of."""
        shape = None
        for file in plan.files:
            if is_weights(file.name):
                continue
            self._bring(plan, file)
            if file.name == hub.CONFIG:
                shape = check_config(self.pull.path / file.name, self._source)
                present(make_offer(plan, shape, self.pull))
        if shape is None or not plan.weights:  # a kept plan that somebody has changed
            raise TuillmError(
                f"the plan of {self._source} lacks its {hub.CONFIG} or its weights",
                f"start anew: tuillm pull {self._source} --discard",
            )
        return shape

    def _header(self, plan: Plan, file: HubFile) -> dict[str, StoredTensor]:
        """The header of a file of weights, which is the only part of it that is fetched."""
        here = self.pull.path / file.name
        if here.exists():  # it has its name once its checksum was right
            return read_header(here)
        return fetch_header(plan, file, self._source, self._progress.tick, self._progress.note)

    def _bring(self, plan: Plan, file: HubFile) -> None:
        """Have one file whole and checked: from the cache, from before, from the hub."""
        target, tick = self.pull.path / file.name, self._progress.tick
        if have(target) == file.size and target.exists():
            return  # it has been checked: only then it gets its name
        partial = partial_file(self.pull, file.name)
        self._progress.begin_file(file.name)
        if self._progress.status.state == "verifying":  # the one before
            self._progress.tell("fetching")
        cached = plan.cached(file) if have(partial) < file.size else None
        if cached and is_whole(cached, file, tick):
            copy(cached, partial, tick)
        else:
            fetch(plan, file, partial, self._source, tick, self._progress.note)
        if not self._keep(file, partial):
            raise TuillmError(
                f"{file.name} of {self._source} came damaged: its checksum is not what the hub "
                "tells; it was thrown away",
                f"fetch it again: tuillm pull {self._source}",
            )

    def _keep(self, file: HubFile, partial: Path) -> bool:
        """Check a file and give it its name, or throw it away."""
        if is_weights(file.name):
            self._progress.tell("verifying")
        if not is_whole(partial, file, self._progress.tick):
            self._progress.tick(-have(partial))
            partial.unlink()
            self._progress.tell("fetching")
            return False
        try:
            with partial.open("rb+") as content:
                os.fsync(content.fileno())
            os.replace(partial, self.pull.path / file.name)
        except OSError as error:
            raise disk_error(error, partial) from None
        return True

    def _publish(self, plan: Plan, kind: str, shape: GPTConfig) -> Model:
        card = self._their_card().model_copy(
            update={
                "origin": "pulled",
                "source": plan.repo,
                "revision": plan.commit,
                "license": plan.licence or None,
                "run": None,
                "parent": None,
                "tokenizer": kind,
                "parameters": shape.parameter_count,
                "tuillm_version": __version__,
            }
        )
        self._progress.tell("verifying")
        with publish(self.pull.name, card, replace=self._replace) as folder:
            self._fill(plan, folder)
            check_weights(folder / WEIGHTS, shape, self._source)
            if problem := read_model_entry(folder).problem:
                raise TuillmError(f"{self._source} is damaged on the hub itself: {problem}")
        return get_model(self.pull.name)

    def _their_card(self) -> ModelCard:
        """What a model that was pushed from here says of itself, such as the form of its texts."""
        with suppress(TuillmError):
            return read_card(self.pull.path)
        return ModelCard()

    def _fill(self, plan: Plan, folder: Path) -> None:
        """Have the files of the model in the folder that is published, the weights as one file."""
        parts = len(plan.weights) > 1
        for file in plan.files:
            if file.name not in (INDEX, CARD) and not (parts and is_weights(file.name)):
                link_or_copy(self.pull.path / file.name, folder / self._published_as(file))
        if parts:
            self._progress.note(f"making one file of the {len(plan.weights)} of its weights")
            join_shards(self.pull.path / INDEX, folder / WEIGHTS, self._progress.tick)

    def _published_as(self, file: HubFile) -> str:
        return WEIGHTS if is_weights(file.name) else file.name
