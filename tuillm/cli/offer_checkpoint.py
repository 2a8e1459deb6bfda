"""What to talk to while a model is still being trained: its run's checkpoint, if the person likes.

Knows runs by what they say of themselves, and asks; loads nothing.
"""

import os
import shlex
import sys
from typing import TYPE_CHECKING

from tuillm.cli.output import confirm, say
from tuillm.errors import TuillmError
from tuillm.units import percent

if TYPE_CHECKING:
    from tuillm.store.run_folder import Run


def offer_checkpoint(name: str) -> str:
    """Return the name of what to talk to when a person at a terminal asks for `name`.

    While that is still trained it is the checkpoint, if the person says so, or the model that has
    the name so far. Raises TuillmError when there is neither.
    """
    from tuillm.store.run_checkpoints import checkpoint_of

    run, older = _run_of(name)
    if run is None:
        return name
    checkpoint, state = checkpoint_of(run), _state(run)
    if not checkpoint:
        if not older:
            raise _nothing_yet(name, run)
        say(
            f"The run {run.id} trains {name!r} anew ({state}) and has no checkpoint yet; "
            "this is the older one."
        )
        return name
    what = f"trains {name!r} anew" if older else "has no model yet"
    say(f"The run {run.id} {what} ({state}); it has the checkpoint {checkpoint}.")
    instead = ", instead of the older model" if older else ""
    if confirm(f"Talk to the checkpoint{instead}?", default=not older):
        return checkpoint
    if not older:
        sys.exit(1)
    return name


def check_trained(name: str) -> None:
    """Say on stderr that `name` is the older model while a newer one is trained.

    Raises TuillmError, with the command that talks to the checkpoint, when there is no older one.
    """
    from tuillm.store.run_checkpoints import checkpoint_of

    run, older = _run_of(name)
    if run is None:
        return
    checkpoint = checkpoint_of(run)
    if older and checkpoint:
        say(
            f"note: the run {run.id} trains {name!r} anew ({_state(run)}), this is the older "
            f"one; the checkpoint: tuillm chat {checkpoint}",
            aside=True,
        )
    elif not older:
        if not checkpoint:
            raise _nothing_yet(name, run)
        raise TuillmError(
            f"there is no model {name!r} yet: the run {run.id} is {_state(run)}",
            f"its checkpoint: tuillm chat {shlex.quote(checkpoint)}",
        )


def _run_of(name: str) -> "tuple[Run | None, bool]":
    """The run that concerns a name, and whether the registry has a model of it."""
    from tuillm.store.paths import models_dir
    from tuillm.store.run_checkpoints import training_run

    if not name or "/" in name:
        return None, False
    return training_run(name), os.path.isdir(models_dir() / name)


def _state(run: "Run") -> str:
    status = run.status()
    return f"{status.state}, step {status.step:,}, {percent(status.progress)} done"


def _nothing_yet(name: str, run: "Run") -> TuillmError:
    return TuillmError(
        f"there is no model {name!r} yet: the run {run.id} is {_state(run)}, and has no checkpoint",
        f"watch it: tuillm runs attach {run.id}",
    )
