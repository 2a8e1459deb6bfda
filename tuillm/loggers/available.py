"""Which loggers there are, whether what they need is installed, and how they are started.

Their libraries are extras, and are imported when a run is logged to them.
"""

from importlib import import_module
from importlib.util import find_spec

from tuillm.errors import UsageError
from tuillm.loggers.logger import LoggedRun, Logger
from tuillm.store.run_folder import Run
from tuillm.store.workers.processes import start_detached

# the library that each needs, and its class
_LOGGERS = {
    "tensorboard": ("tensorboardX", "tensorboard_logger:TensorboardLogger"),
    "wandb": ("wandb", "wandb_logger:WandbLogger"),
    "trackio": ("trackio", "trackio_logger:TrackioLogger"),
    "csv": ("", "csv_logger:CsvLogger"),
}


def refuse_missing_loggers(names: tuple[str, ...]) -> None:
    """Raise UsageError for a logger whose library is not installed; imports none."""
    for name in names:
        library, _ = _LOGGERS[name]
        if library and find_spec(library) is None:
            raise UsageError(
                f"{name} cannot be logged to: its library is not installed",
                f"pip install 'tuillm[{name}]'",
            )


def start_logging(run: Run, names: tuple[str, ...]) -> None:
    """Log a run from now on, in a process of its own that ends soon after the run.

    Raises TuillmError or OSError where it cannot be started.
    """
    start_detached("tuillm.loggers.log_process", [str(run.path), *names], run.log)


def open_logger(name: str, run: LoggedRun, after: int) -> Logger:
    """Open a logger that goes on after a step, -1 for the beginning.

    Raises UsageError where its library is missing, and whatever that library raises.
    """
    refuse_missing_loggers((name,))
    module, kind = _LOGGERS[name][1].split(":")
    logger: Logger = getattr(import_module(f"tuillm.loggers.{module}"), kind)(run, after)
    return logger
