"""What a run was asked to do, by its control file and by signals, and has not done yet.

Knows requests; does none of them.
"""

from collections.abc import Callable

from tuillm.store.run_control import ControlRequest, requests
from tuillm.store.run_folder import Run


class ControlRequests:
    """Takes requests down as they come: `stops` counts those for an end, `more_steps` adds up.

    `ask` is called for an evaluation and a sample, which come at once.
    """

    def __init__(
        self, run: Run, say: Callable[[str], None], ask: Callable[[str], None], offset: int
    ) -> None:
        """`offset` is up to which byte of the control file an earlier process did as asked."""
        self._run, self._say, self._ask = run, say, ask
        self.offset = offset  # in bytes, up to where the control file was read
        self.stops = self.more_steps = self.resumes = 0
        self.paused = False

    def stop(self) -> None:
        """Ask for an end; who asks twice does not want to wait for an evaluation either."""
        self.stops += 1

    def read(self) -> None:
        """Take down what has come into the control file."""
        found, self.offset = requests(self._run.control, self.offset)
        for asked in found:
            self._take(asked)

    def _take(self, asked: ControlRequest) -> None:
        request = asked.request
        self._say(f"asked to {request}" + (f" by {asked.steps:,} steps" if asked.steps else ""))
        if request == "stop":
            self.stop()
        elif request == "pause":
            self.paused = True
        elif request == "resume":  # also takes back a stop that was not acted on yet
            self.stops, self.paused = 0, False
            self.resumes += 1
        elif request == "extend":
            self.more_steps += asked.steps
        else:
            self._ask(request)
