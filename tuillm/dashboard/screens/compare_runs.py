"""Several runs over each other: one chart of their curves, one table of their differences."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tuillm.config import TrainConfig, settings_of
from tuillm.dashboard.glossary import Meaning, meaning
from tuillm.dashboard.run_curves import METRICS, curve_role, overlay_curves, value_at
from tuillm.dashboard.run_follower import Follower
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.widgets.axes import AxisName, axis_named
from tuillm.dashboard.widgets.border_title import set_border_title
from tuillm.dashboard.widgets.cached_static import CachedStatic
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.picture import line_sample
from tuillm.dashboard.widgets.scroll import SCROLL_KEYS
from tuillm.dashboard.widgets.state import state_words
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.plotting import number
from tuillm.store.snapshot import RunEntry
from tuillm.units import count, duration, figure

_AXES: tuple[AxisName, ...] = ("step", "elapsed", "epoch")


class Differences(ThemeAware, VerticalScroll, can_focus=True):
    """What the runs came to, and the settings in which they differ; the first row is a legend."""

    HELP = "What the marked runs came to, and every setting in which they are not the same."
    BINDINGS = SCROLL_KEYS
    DEFAULT_CLASSES = "panel"
    _entries: Sequence[RunEntry] = ()
    _reading: tuple[str, list[str]] | None = None

    def compose(self) -> ComposeResult:
        self.border_title = "how they differ, and what they came to"
        yield CachedStatic()

    def show(self, entries: Sequence[RunEntry]) -> None:
        """Draw the table; a column a run."""
        self._entries = entries
        self.redraw()

    def read_out(self, reading: tuple[str, list[str]] | None) -> None:
        """Show what the runs have at the chart's cursor: where that is, and a value for each."""
        self._reading = reading
        self.redraw()

    def redraw(self) -> None:
        entries, colors = self._entries, self.app.theme_variables
        table = Table.grid(padding=(0, 2))
        table.add_column(style=colors.get("muted", ""), no_wrap=True)
        names = []
        for index, entry in enumerate(entries):
            name = Text(f"{line_sample(index)} ", colors[curve_role(index)])
            names.append(name.append(entry.id, f"bold {colors['foreground']}"))
        table.add_row("", *names)
        rows = [self._reading] if self._reading else []
        for title, values in [*rows, *different_settings(entries), *_results(entries)]:
            table.add_row(title, *(Text(value) for value in values))
        self.query_one(CachedStatic).draw(table)


_EXPLAINED = (
    "bits per byte",
    "validation loss",
    "train loss",
    "step",
    "parameters",
    "tokens/s",
    "learning rate",
    "gradient norm",
)
# in nats per token, which are longer in one tokenizer than in another
_OF_TOKENS = ("train_loss", "val_loss")
# how much longer the tokens of one may be, measured on different parts of the text
_ALIKE = 1.1
_APART = " · their tokenizers differ, so this does not compare: m goes on to bits per byte"


def same_tokens(entries: Sequence[RunEntry]) -> bool:
    """Whether the tokens of all runs are about as long, by the ratio of their two losses."""
    lengths = [
        entry.status.val_loss / entry.status.bits_per_byte
        for entry in entries
        if entry.status.val_loss and entry.status.bits_per_byte
    ]
    return not lengths or max(lengths) < min(lengths) * _ALIKE


class CompareRunsScreen(BaseScreen):
    """The curves of two or more runs on one chart; they may still be going."""

    NAV = "runs"
    HELP = (
        "The marked runs on one chart. m goes on to another metric: bits per byte compare between "
        "all runs on a text, losses in nats per token only between those with the same tokenizer. "
        "X switches between steps, time and epochs, ← and → read out the values of all runs."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="overlay.back"),
        Binding("m", "metric(1)", "Next metric", id="overlay.metric"),
        Binding("M", "metric(-1)", "Previous metric", id="overlay.metric_back", show=False),
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
        self._axis, self._metric = 0, 0
        self._at: float | None = None

    def body(self) -> ComposeResult:
        yield Chart(empty="no evaluation yet: m goes on to the train loss", classes="panel")
        yield Differences()

    def on_mount(self) -> None:
        for follower in self._followers.values():
            follower.start()
        self.query_one(Chart).focus()
        self.runs_changed()

    def explains(self) -> bool:
        return True

    def meanings(self) -> tuple[str, list[Meaning]]:
        """What the curves are, and what stands in the table below them."""
        return "the figures of runs", [meaning(name) for name in _EXPLAINED]

    @property
    def entries(self) -> list[RunEntry]:
        """The runs as they are now."""
        return [entry for entry in self.dashboard.runs if entry.id in self._ids]

    def runs_changed(self) -> None:
        self.query_one(Differences).show(self.entries)
        self._draw()

    def _draw(self) -> None:
        runs = [(entry.id, self._followers[entry.id].history) for entry in self.entries]
        axis, metric = _AXES[self._axis], METRICS[self._metric]
        chart = self.query_one(Chart)
        apart = metric.column in _OF_TOKENS and not same_tokens(self.entries)
        set_border_title(chart, metric.name + (_APART if apart else ""))
        chart.show(overlay_curves(runs, axis, metric), x_axis=axis)
        self._read_out()

    @on(Chart.Inspected)
    def _inspected(self, event: Chart.Inspected) -> None:
        self._at = event.x
        self._read_out()

    def _read_out(self) -> None:
        """Write the values at the cursor into the table."""
        if self._at is None:
            self.query_one(Differences).read_out(None)
            return
        axis, metric = _AXES[self._axis], METRICS[self._metric]
        histories = [self._followers[entry.id].history for entry in self.entries]
        values = [value_at(history, axis, metric, self._at) for history in histories]
        shown = axis_named(axis)
        title = f"at {shown.unit} {shown.exact(self._at)}"
        self.query_one(Differences).read_out(
            (title, ["-" if value is None else number(value) for value in values])
        )

    def action_metric(self, by: int) -> None:
        self._metric = (self._metric + by) % len(METRICS)
        self._draw()

    def action_axis(self) -> None:
        self._axis = (self._axis + 1) % len(_AXES)
        self._at = None
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
        ("bits per byte", [figure(status.bits_per_byte) for status in statuses]),
        ("validation loss", [figure(status.val_loss) for status in statuses]),
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
