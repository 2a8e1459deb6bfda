"""What a run will take, told before it starts: its text's beginning, all of it, then real steps.

`python -m tuillm.training.forecast.process` reads a TrainConfig as JSON on stdin and prints each
forecast as a line of JSON as soon as it stands. Knows no run folder and fetches nothing from the
network.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace

from tuillm.config import TrainConfig
from tuillm.formats.json_text import JsonObject
from tuillm.store.workers.forecast_process import Forecast
from tuillm.store.workers.settings_process import answer
from tuillm.training.forecast.preset_estimates import preset_estimates
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
    yield replace(seen, presets=preset_estimates(config, seen))
    if not seen.skipped:
        seen = probe(config, seen)
        yield replace(seen, presets=preset_estimates(config, seen))


def objects(config: TrainConfig) -> Iterator[JsonObject]:
    """Yield the forecasts as JSON objects; raises TuillmError as `forecast` does."""
    for each in forecast(config):
        yield each.as_json()
        if each.stage == "text" and not each.skipped:
            from tuillm.training.hardware import tune_process  # which costs torch

            tune_process()  # real steps come next, as a worker takes them


def main() -> int:
    """Read settings on stdin, print forecasts; return the exit code."""
    return answer(objects)


if __name__ == "__main__":
    sys.exit(main())
