"""`python -m tuillm.text.statistics.explore_worker`: explores a text for another process.

Reads a TrainConfig as JSON on stdin and prints lines of JSON: how far it is, then the exploration.
Knows no screen; nothing is trained.
"""

import sys
import time
from collections.abc import Iterator

from tuillm.config import TrainConfig
from tuillm.formats.json_text import JsonObject
from tuillm.store.workers.settings_process import answer, print_object
from tuillm.text.corpus import read_corpus
from tuillm.text.read_options import ReadOptions
from tuillm.text.statistics.exploration import explore

_EVERY = 0.1


class _Progress:
    """A tick that prints how far the work is, now and then; nobody reading ends the work."""

    def __init__(self) -> None:
        self._stage, self._told = "", 0.0

    def __call__(self, stage: str, share: float) -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._told > _EVERY:
            self._stage, self._told = stage, now
            print_object({"stage": stage, "share": share})


def explored(config: TrainConfig) -> Iterator[JsonObject]:
    """Yield the exploration of a run's text; raises TuillmError for one that cannot be read."""
    tick = _Progress()
    corpus = read_corpus(config.corpus, options=ReadOptions.of(config), tick=tick)
    yield {"exploration": explore(corpus, tick, config).as_json()}


def main() -> int:
    """Read settings on stdin, print what is found; return the exit code."""
    return answer(explored)


if __name__ == "__main__":
    sys.exit(main())
