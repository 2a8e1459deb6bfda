"""Where a run was logged to, in words: after `tuillm train --log-to` and `tuillm runs log`.

Knows the loggers' record in the run folder; opens none itself, but for `log`.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tuillm.cli.output import complain, say
from tuillm.errors import TuillmError
from tuillm.loggers.available import refuse_missing_loggers, start_logging
from tuillm.loggers.log_run import log_run, progress_of
from tuillm.loggers.logger import LoggerProgress
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE

# a logger writes the last steps when the run has ended; one that sends them may take longer
_PATIENCE = 15.0
_POLL = 0.05


def log(run: Run, names: tuple[str, ...]) -> None:
    """Log a run to tools: a going one in the background, else at once.

    Raises TuillmError where one of them has failed.
    """
    refuse_missing_loggers(names)
    if run.status().state in ACTIVE:
        start_logging(run, names)
        say(f"{run.id} is logged to {', '.join(names)} from now on; tuillm runs show {run.id}")
        return
    told = log_run(run, names, lambda line: None, wait=1.0)
    _tell({name: each for name, each in told.items() if not each.error})
    failed = [f"{name}: {each.error}" for name, each in told.items() if each.error]
    if failed:
        raise TuillmError(
            f"{run.id} was not logged to {'; '.join(failed)}",
            f"once more: tuillm runs log {run.id} --to {','.join(told)}",
        )


def tell_loggers(run: Run) -> None:
    """Wait a little until the loggers of a run that has ended are done; say where they wrote."""
    names, over = run.config.log_to, run.status().heartbeat
    end = time.monotonic() + _PATIENCE
    known: dict[str, LoggerProgress] = {}
    while time.monotonic() < end:
        known = progress_of(run)
        if all(name in known and known[name].ended >= over for name in names):
            break
        time.sleep(_POLL)
    _tell({name: known[name] for name in names if name in known})


def facts(run: Run) -> dict[str, str]:
    """Return what `tuillm runs show` says of each logger of a run."""
    return {
        f"logged to {name}": f"not, {each.error}"
        if each.error
        else f"step {each.step}, {each.where}"
        for name, each in progress_of(run).items()
    }


def _tell(told: Mapping[str, LoggerProgress]) -> None:
    for name, each in told.items():
        if each.error:
            complain(f"not logged to {name}: {each.error}")
        else:
            say(f"Logged to {name}: {_short(each.where)}")
            if each.hint:
                say(f"  {each.hint}")


def _short(where: str) -> str:
    """A path from the current folder on where it is below that."""
    with suppress(ValueError, OSError):
        return str(Path(where).relative_to(Path.cwd())) if where.startswith("/") else where
    return where
