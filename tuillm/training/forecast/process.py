"""What a run will take, told before it starts: its text's beginning, all of it, then real steps.

`python -m tuillm.training.forecast.process` reads a TrainConfig as JSON on stdin and prints each
forecast as a line of JSON as soon as it stands. Knows no run folder and fetches nothing from the
network.
"""

import json
import sys
from collections.abc import Iterator

from pydantic import ValidationError

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.formats.json_text import to_json
from tuillm.store.workers.forecast_process import Forecast
from tuillm.training.forecast.static import first_look, look
from tuillm.training.forecast.throughput import probe

__all__ = ["Forecast", "first_look", "forecast", "look", "probe"]


def forecast(config: TrainConfig) -> Iterator[Forecast]:
    """Yield what the text's beginning tells, what all of it does, and real steps if not `skipped`.

    Raises TuillmError for what would stop the run too.
    """
    first = first_look(config)
    if first:
        yield first
    seen = look(config, first)
    yield seen
    if not seen.skipped:
        yield probe(config, seen)


def main() -> int:
    """Read settings on stdin, print forecasts; return the exit code."""
    try:
        for each in forecast(_settings()):
            print(to_json(each.as_json()), flush=True)
            if each.stage == "text" and not each.skipped:
                from tuillm.training.hardware import tune_process  # which costs torch

                tune_process()  # real steps come next, as a worker takes them
        return 0
    except BrokenPipeError:
        sys.stdout = None  # nobody reads any more: Python must not complain while it ends
        return 0
    except TuillmError as error:
        message, hint = error.message, error.hint
    except Exception as error:  # whoever started this process reads lines, no tracebacks
        message, hint = f"{type(error).__name__}: {error}", ""
    print(to_json({"error": message, "hint": hint}), flush=True)
    return 1


def _settings() -> TrainConfig:
    """Return the settings on stdin; raises TuillmError for what are none."""
    try:
        return TrainConfig.model_validate(json.load(sys.stdin))
    except ValueError as error:
        words = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise TuillmError(f"these are no settings of a run: {words}") from None


if __name__ == "__main__":
    sys.exit(main())
