"""The loss curve of the run under a table's cursor, where the window has room for it.

Follows one run at a time, once the cursor rests on it. Knows runs and a chart.
"""

from dataclasses import dataclass

from textual.message import Message
from textual.timer import Timer

from tuillm.dashboard.metrics_history import History
from tuillm.dashboard.run_curves import loss_curves
from tuillm.dashboard.run_follower import Follower
from tuillm.dashboard.widgets.chart import Chart
from tuillm.store.run_folder import Run

# a cursor that moves on at once has nothing read for it
_REST = 0.15


class RunCurve(Chart):
    """A chart that follows a run; `follow(None)` shows none."""

    DEFAULT_CLASSES = "panel"

    @dataclass
    class Followed(Message):
        """There is news of the run that is followed, or another one is."""

        history: History

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunCurve.Followed)

    def __init__(self) -> None:
        super().__init__(empty="no steps yet")
        self.border_title = "loss"
        self._run: Run | None = None
        self._held_out = True
        self._follower: Follower | None = None
        self._resting: Timer | None = None

    def follow(self, run: Run | None, *, held_out: bool = True) -> None:
        """Show a run from now on; `held_out`: its evaluations are of a text that was held out."""
        if not self.display:
            run = None
        self._held_out = held_out
        if (run and run.id) == (self._run and self._run.id):
            return
        self._run = run
        if self._follower:
            self._follower.end()
            self._follower = None
        if self._resting:
            self._resting.stop()
        self.reset()
        self.show(())
        self.post_message(self.Followed(History()))
        self._resting = self.set_timer(_REST, self._begin) if run else None

    def pause(self) -> None:
        """Stop looking while nobody does."""
        if self._follower:
            self._follower.pause()

    def resume(self) -> None:
        """Look again."""
        if self._follower:
            self._follower.resume()

    def _begin(self) -> None:
        if self._run:
            self._follower = Follower(
                self.screen, self._run, lambda samples, log: self._news(), metrics_only=True
            )
            self._follower.start()

    def _news(self) -> None:
        if self._follower and self.is_attached:
            self.show(*loss_curves(self._follower.history, "step", held_out=self._held_out))
            self.post_message(self.Followed(self._follower.history))
