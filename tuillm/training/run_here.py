"""Training in the process of a person's own Python: `Trainer(...).run()`.

Knows the runner and how progress is told on stderr.
"""

from typing import TYPE_CHECKING

from tuillm.errors import UsageError
from tuillm.store.process_id import this_process
from tuillm.store.registry import Model
from tuillm.store.run_folder import create_run
from tuillm.training.runner import Runner
from tuillm.training.start_checks import validate_start
from tuillm.training.stderr_progress import progress

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

_TAKEN = "another name: Trainer(name=...); in its place: run(replace=True)"


def run_here(trainer: "Trainer", *, replace: bool = False, quiet: bool = False) -> Model:
    """Train in this process with a run folder of its own; return the published model.

    Tells on stderr how far it is, unless `quiet`. Raises TuillmError when the name is taken
    (unless `replace`) or training fails.
    """
    if trainer.config.nproc > 1:
        raise UsageError(
            f"nproc {trainer.config.nproc} takes processes of their own",
            f"tuillm train TEXT --nproc {trainer.config.nproc}",
        )
    trainer.keep_pipes()
    validate_start(trainer.config, replace=replace, hint=_TAKEN)
    trainer.prepare()
    run = create_run(trainer.config, this_process())
    with progress(quiet) as tell, run.take():
        return Runner(trainer, run, replace=replace, say=tell.say, tell=tell.step).run()
