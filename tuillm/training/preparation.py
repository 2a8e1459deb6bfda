"""What a run does before its first step, reading and encoding its text, is watched and can end.

Knows the run folder's requests; does not know the stages.
"""

import time
from collections.abc import Callable

from tuillm.errors import Interrupted
from tuillm.store.run_control import requests
from tuillm.store.run_folder import Run
from tuillm.text.progress_tick import ProgressWords

_TELL_EVERY = 0.5


class Preparing:
    """The tick of a run's preparations; `tell` gets what they are busy with, in words.

    Called, it raises Interrupted when the run was asked to stop, by its control file or by
    `stopped`. Other requests wait until there is a model.
    """

    def __init__(
        self, run: Run, stopped: Callable[[], bool], tell: Callable[[str], None], offset: int = 0
    ) -> None:
        """`offset` is up to which byte of the control file an earlier process did as asked."""
        self._offset = offset
        self._run, self._stopped, self._tell = run, stopped, tell
        self._told = time.monotonic()
        self._progress = ProgressWords()

    def __call__(self, stage: str, share: float) -> None:
        found, _ = requests(self._run.control, self._offset)
        asked = [each.request for each in found if each.request in ("stop", "resume")]
        if self._stopped() or asked[-1:] == ["stop"]:
            raise Interrupted(
                "the run was stopped while it prepared its text",
                f"go on with: tuillm runs resume {self._run.id}",
            )
        words = self._progress.words(stage, share)
        if time.monotonic() - self._told > _TELL_EVERY:
            self._told = time.monotonic()
            self._tell(words)
