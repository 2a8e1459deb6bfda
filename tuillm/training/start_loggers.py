"""Starts the process that logs a run to other tools, and leaves the forecast for it.

Knows the run folder and the setup; knows no logger.
"""

from collections.abc import Callable
from dataclasses import asdict, replace

from tuillm.errors import TuillmError
from tuillm.loggers.available import start_logging
from tuillm.store.files import write_json
from tuillm.store.run_folder import Run
from tuillm.training.forecast.run_time import estimated_step, with_speed
from tuillm.training.forecast.static import of_run
from tuillm.training.setup import Setup


def start_loggers(setup: Setup, run: Run, say: Callable[[str], None]) -> None:
    """Log the run to what its settings name, from now on, in a process of its own.

    Where that cannot be started, training goes on and `say` is told.
    """
    names = setup.config.log_to
    if not names:
        return
    try:
        if not run.forecast.exists():
            write_json(run.forecast, _forecast(setup))
        start_logging(run, names)
    except (TuillmError, OSError) as error:
        say(f"not logged to {', '.join(names)}: {error}")


def _forecast(setup: Setup) -> dict[str, object]:
    """What is known of the run before its first step; its speed is that of matrix products."""
    seen = of_run(setup.config, setup.corpus, setup.tokens)
    seen = replace(
        seen,
        device=setup.device.type,
        dtype=str(setup.dtype).removeprefix("torch."),
        estimated=True,
    )
    step = estimated_step(setup.config, seen, setup.flops)
    return {
        name: value
        for name, value in asdict(with_speed(setup.config, seen, step, 0.0)).items()
        if value not in (None, "", (), [], {}) and name not in ("stage", "tokenizers")
    }
