"""Several runs over each other: one chart of their curves, one table of their differences."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tuillm.config import TrainConfig, settings_of
from tuillm.dashboard.run_curves import overlay_curves
from tuillm.dashboard.run_follower import Follower
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.widgets.axes import AxisName
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.state import state_words
from tuillm.store.snapshot import RunEntry
from tuillm.units import count, duration, figure

MOST = 6
_AXES: tuple[AxisName, ...] = ("step", "elapsed", "epoch")


class Differences(VerticalScroll, can_focus=True):
    """What the runs came to, and the settings in which they differ."""

    HELP = "What the marked runs came to, and every setting in which they are not the same."
    BINDINGS = SCROLL_KEYS

    def compose(self) -> ComposeResult:
        yield Static()

    def show(self, entries: Sequence[RunEntry]) -> None:
        """Draw the table; a column a run."""
        muted = self.app.theme_variables.get("muted", "")
        table = Table.grid(padding=(0, 2))
        table.add_column(style=muted, no_wrap=True)
        table.add_row("", *(Text(entry.id, style="bold") for entry in entries))
        for name, values in [*_results(entries), *different_settings(entries)]:
            table.add_row(name, *(Text(value) for value in values))
        self.query_one(Static).update(table)


class CompareRunsScreen(BaseScreen):
    """The curves of two to six runs on one chart; they may still be going."""

    NAV = "runs"
    HELP = (
        "The marked runs on one chart. t switches between bits per byte of the held-out text "
        "and the train loss in nats per token, which does not compare between tokenizers; X "
        "between steps, time and epochs."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="overlay.back"),
        Binding("t", "train", "Bits/byte or train loss", id="overlay.train"),
        Binding("X", "axis", "Steps, time or epochs", id="overlay.axis"),
        Binding("tab", "app.focus_next", "Next panel", id="overlay.panel", show=False),
    ]

    def __init__(self, entries: Sequence[RunEntry]) -> None:
        super().__init__()
        self._ids = [entry.id for entry in entries]
        self._followers = {
            entry.id: Follower(
                self, entry.run, lambda samples, log: self._draw(), metrics_only=True
            )
            for entry in entries
        }
        self._axis, self._train = 0, False

    def body(self) -> ComposeResult:
        yield Chart(empty="no evaluation yet: t shows the train loss")
        yield Differences()

    def on_mount(self) -> None:
        for follower in self._followers.values():
            follower.start()
        self.query_one(Chart).focus()
        self.runs_changed()

    @property
    def entries(self) -> list[RunEntry]:
        """The runs as they are now."""
        return [entry for entry in self.dashboard.runs if entry.id in self._ids]

    def runs_changed(self) -> None:
        self.query_one(Differences).show(self.entries)
        self._draw()

    def _draw(self) -> None:
        runs = [(entry.id, self._followers[entry.id].history) for entry in self.entries]
        axis = _AXES[self._axis]
        self.query_one(Chart).show(overlay_curves(runs, axis, train=self._train), x_axis=axis)

    def action_train(self) -> None:
        self._train = not self._train
        self._draw()

    def action_axis(self) -> None:
        self._axis = (self._axis + 1) % len(_AXES)
        self._draw()

    def action_back(self) -> None:
        self.dismiss()

    @on(events.ScreenSuspend)
    def _left(self) -> None:
        for follower in self._followers.values():
            follower.pause()

    @on(events.ScreenResume)
    def _came_back(self) -> None:
        for follower in self._followers.values():
            follower.resume()


def different_settings(entries: Sequence[RunEntry]) -> list[tuple[str, list[str]]]:
    """Every setting in which the runs differ, with its value in each; a damaged run shows '?'."""
    rows = []
    for setting in settings_of(TrainConfig):
        values = [
            setting.words(getattr(entry.config, setting.name)) if entry.config else "?"
            for entry in entries
        ]
        if len(set(values)) > 1:
            rows.append((setting.name, values))
    return rows


def _results(entries: Sequence[RunEntry]) -> list[tuple[str, list[str]]]:
    statuses = [entry.status for entry in entries]
    return [
        ("state", [state_words(status.state) for status in statuses]),
        ("bits/byte", [figure(status.bits_per_byte) for status in statuses]),
        ("best loss", [figure(status.val_loss) for status in statuses]),
        (
            "at step",
            [
                f"{status.best_step:,}" if status.best_step is not None else "-"
                for status in statuses
            ],
        ),
        ("steps", [f"{status.step:,}" for status in statuses]),
        ("time", [duration(status.elapsed) for status in statuses]),
        ("parameters", [count(status.parameters) for status in statuses]),
        ("tokens/s", [count(status.tokens_per_sec) for status in statuses]),
    ]
