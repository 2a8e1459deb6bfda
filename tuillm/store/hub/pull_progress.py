"""What a pull tells of itself while it goes: bytes, rate, state, and whether somebody stops it.

Writes the status into the pull folder and hands it to whoever draws. Knows neither the hub nor what
is fetched.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from tuillm.errors import TuillmError
from tuillm.store.hub.pull_folder import PULLING, Pull, PullState, PullStatus, bytes_come
from tuillm.store.pace import Pace

# looked at and written this often, in seconds
_STATUS_EVERY = 0.5
_REPORT_EVERY = 0.1

Report = Callable[[PullStatus], None]


class Cancelled(Exception):
    """Somebody asked the pull to stop; what has come is kept."""


class PullProgress:
    """The status of one pull; `tick` and `note` are what downloads call."""

    def __init__(self, folder: Pull, status: PullStatus, report: Report) -> None:
        self.status = status
        self._pull, self._report = folder, report
        self._written = self._reported = 0.0
        self._pace = Pace()
        self._file = ""

    def begin(self, before: PullStatus) -> None:
        """Take over what an earlier status of the same pull tells, and say that it goes."""
        if before.state in PULLING:  # by whoever started this process, who may have cancelled it
            self._update(created=before.created)
        if before.source == self.status.source:
            self._update(done=before.done, total=before.total, commit=before.commit)
        self.tell("fetching")

    def plan(self, commit: str, sizes: Iterable[tuple[str, int]]) -> None:
        """Have files of these sizes in bytes before it, of which some may have come."""
        files = {name: (0, size) for name, size in sizes}
        self._update(commit=commit, total=sum(size for _, size in files.values()), files=files)
        self.count()

    def begin_file(self, name: str) -> None:
        """Count what comes as that of a file."""
        self._file = name

    def tick(self, came: int) -> None:
        """Count bytes; now and then write the status, report it, and see whether to stop."""
        if came:
            done, total = self.status.files.get(self._file, (0, 0))
            self.status.files[self._file] = (done + came, total)
            self.status.done += came
            self._pace.add(came)
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            rate, eta = self._pace.measure(self.status.total - self.status.done)
            self._update(rate=rate, eta=eta)
            self._report(self.status.model_copy())
            if self._pull.cancel_requested(self.status.created):
                raise Cancelled
        if now - self._written >= _STATUS_EVERY:
            self._write(now)

    def count(self) -> None:
        """Take what has come from the disk itself."""
        files = {
            name: (bytes_come(self._pull, name), size)
            for name, (_, size) in self.status.files.items()
        }
        self._update(files=files, done=sum(come for come, _ in files.values()))

    def note(self, words: str) -> None:
        """Say what is being waited for; '' for nothing any more."""
        self._update(note=words)
        self.tick(0)

    def tell(self, state: PullState, error: str | None = None, hint: str | None = None) -> None:
        """Be in a state from now on, and say so at once."""
        self._update(state=state, error=error, hint=hint or None, note="")
        if state not in PULLING:
            self._update(rate=None, eta=None)
        self._write(time.monotonic())
        self._report(self.status.model_copy())

    def tell_end(self, error: BaseException) -> None:
        """Say how it ended, where it did not end well."""
        self.count()
        with suppress(TuillmError):  # on a full disk that cannot be written down
            if isinstance(error, Cancelled | KeyboardInterrupt | SystemExit):
                self.tell("cancelled")
            elif isinstance(error, TuillmError):
                self.tell("failed", error.message, error.hint)
            else:
                self.tell("failed", repr(error))

    def _write(self, now: float) -> None:
        self._written = now
        self._update(heartbeat=time.time())
        self._pull.write_status(self.status)

    def _update(self, **values: object) -> None:
        self.status = self.status.model_copy(update=values)
