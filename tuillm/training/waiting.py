"""A run that waits: because it is paused, or because the disk refuses what it has to write.

Knows the record of a run, what it was asked for and its clock; takes no step.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tuillm.errors import DiskError
from tuillm.store.workers.reply_activity import replying
from tuillm.training.control_requests import ControlRequests
from tuillm.training.run_record import RunRecord

if TYPE_CHECKING:
    from tuillm.training.trainer import Trainer

T = TypeVar("T")
_POLL = 0.1
# between two looks whether a reply is still being generated
_GLANCE = 0.02
_STATUS_EVERY = 2.0
# seconds between two tries where a disk refuses: the first, and the longest
_RETRY, _LONGEST_RETRY = 1.0, 30.0
_HINT = "it goes on by itself when the disk takes it again"


class Waiting:
    """Lets a run wait, listen and show that it lives."""

    def __init__(
        self,
        trainer: "Trainer",
        record: RunRecord,
        requested: ControlRequests,
        say: Callable[[str], None],
    ) -> None:
        self._trainer, self._record = trainer, record
        self._requests, self._say = requested, say

    def nap(self, seconds: float = _POLL) -> None:
        """Wait for a tenth of a second, or as long as is said."""
        time.sleep(seconds)
        self._requests.read()
        if time.monotonic() - self._record.written > _STATUS_EVERY:
            self._record.write()

    def while_replying(self) -> None:
        """Wait while a reply is generated on this machine, unless the run has another priority.

        The time is not the run's. Ends at once where a request came: the next step answers it.
        """
        if self._trainer.config.priority != "low" or self._trainer.setup.device.type != "cpu":
            return
        if not replying():
            return
        offset, begun, told = self._requests.offset, time.monotonic(), False
        with self._trainer.clock.stopped():
            while replying() and self._requests.offset == offset and not self._requests.stops:
                self.nap(_GLANCE)
                if not told and time.monotonic() - begun > _STATUS_EVERY:
                    self._record.write(doing="waits while a reply is generated")
                    told = True
        if told:
            self._record.write(doing="")

    def retry_on_disk_error(self, action: Callable[[], T]) -> T:
        """Do what writes to the disk; where that refuses and may take it later, wait for it.

        The run is paused meanwhile and says why. Raises DiskError where that would be in vain, or
        where somebody asks for a stop.
        """
        state, wait = self._record.status.state, 0.0
        while True:
            try:
                done = action()
                break
            except DiskError as error:
                if not error.may_pass or self._requests.stops:
                    raise
                if not wait:
                    self._say(f"paused: {error.message}; {_HINT}")
                self._record.write(state="paused", error=error.message, hint=_HINT, eta=None)
            wait = min(2 * wait, _LONGEST_RETRY) or _RETRY
            self._wait_for_disk(wait)
        if wait:
            self._say("the disk takes it again: going on")
            self._record.write(state=state, error=None, hint=None)
        return done

    def _wait_for_disk(self, seconds: float) -> None:
        """Wait so long, or until a stop or a resume is asked for."""
        end, requested = time.monotonic() + seconds, self._requests
        resumes = requested.resumes
        with self._trainer.clock.stopped():
            while time.monotonic() < end and not requested.stops and requested.resumes == resumes:
                self.nap()
