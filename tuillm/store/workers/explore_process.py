"""A text being explored in a process of its own, for whoever must not load what that takes.

Knows the exploration by its module's name. A front end reads the news in a thread and cancels the
process as soon as nobody looks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.store.workers.exploration_record import Exploration
from tuillm.store.workers.json_lines import Stray
from tuillm.store.workers.settings_process import SettingsProcess

_MODULE = "tuillm.text.statistics.explore_worker"


@dataclass(frozen=True)
class ExploreProgress:
    """What is looked at, and how much of that is done, 0 to 1."""

    stage: str
    share: float


class ExploreProcess(SettingsProcess):
    """An exploration of the text of a run with these settings.

    Iterating gives how far it is, and last what was found; raises TuillmError for a text that
    cannot be read.
    """

    GIVES_WAY = False

    def __init__(self, config: TrainConfig, stray: Stray | None = None) -> None:
        """Start the process; returns at once. `stray` is told of lines that are no news."""
        super().__init__(_MODULE, "the exploration", config, stray)

    def __iter__(self) -> Iterator[ExploreProgress | Exploration]:
        """Wait for each piece of news; ends when there is no more, or at once when cancelled."""
        for found in self.objects():
            try:
                if "exploration" in found:
                    yield Exploration.from_json(found["exploration"])
                else:
                    yield ExploreProgress(str(found["stage"]), float(found["share"]))
            except (KeyError, TypeError, ValueError) as error:
                raise TuillmError(f"the exploration says what it should not: {error}") from None
