"""A run's checkpoints as models to talk to, called RUN/best, RUN/last and RUN/step-500.

Knows run folders and the registry; asks nobody and loads nothing.
"""

import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tuillm.errors import TuillmError
from tuillm.store.card import ModelCard
from tuillm.store.paths import models_dir, runs_dir
from tuillm.store.registry import Model, find_model
from tuillm.store.run_folder import Run, active_run_for, get_run

_NUMBERED = re.compile(r"step-[1-9][0-9]{0,15}")


def resolve_model(name_or_path: str | os.PathLike[str]) -> Model:
    """Return a model as `find_model` does, or the checkpoint that RUN/best, RUN/last... names.

    A checkpoint is called so, too, when it is given by its path; its card says how it is trained.
    Raises TuillmError.
    """
    model = find_model(checkpoint_path(os.fspath(name_or_path)) or name_or_path)
    if model.path.parent.parent == runs_dir():
        name = f"{model.path.parent.name}/{model.path.name}"
        return replace(model, name=name, card=_card_in_training(model))
    return model


def _card_in_training(model: Model) -> ModelCard:
    """Return the card of a checkpoint, which has none of its own, with how it came about."""
    with suppress(TuillmError):
        parent = get_run(model.path.parent.name).config.init_from
        origin = "trained" if parent is None else "fine-tuned"
        return model.card.model_copy(update={"origin": origin, "parent": parent})
    return model.card


def checkpoint_path(name: str) -> Path | None:
    """Return the folder of the checkpoint that RUN/best, RUN/last or RUN/step-N names, if any."""
    run, _, which = name.partition("/")
    path = runs_dir() / run / which
    named = which in ("best", "last") or _NUMBERED.fullmatch(which) is not None
    there = named and run not in ("", "..")
    return path if there and os.path.isfile(path / "config.json") else None


def training_run(name: str) -> Run | None:
    """Return the run that trains a model of this name right now, or that has this id and no model.

    The id of a run whose model is there is no name to talk to: raises TuillmError naming that.
    """
    if run := active_run_for(name):
        return run
    if os.path.isdir(models_dir() / name):
        return None
    try:
        run = get_run(name)
    except TuillmError:
        return None
    if published := run.status().model:
        raise TuillmError(
            f"{name!r} is a run, and its model {published!r}", f"tuillm chat {published}"
        )
    return run


def step_checkpoints(run_folder: Path) -> list[Path]:
    """Return the numbered checkpoints of a run, by their steps."""
    found = [path for path in run_folder.glob("step-*") if _NUMBERED.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def checkpoint_of(run: Run) -> str:
    """Return the name of a run's best checkpoint, else of its last one, else ''."""
    names = (f"{run.id}/{which}" for which in ("best", "last"))
    return next((name for name in names if checkpoint_path(name)), "")
