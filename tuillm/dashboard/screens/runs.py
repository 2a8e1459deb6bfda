"""The screen of the runs: all there are with their state, and what is known about each."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from tuillm.dashboard.screens.run_actions import RunActionsScreen
from tuillm.dashboard.screens.table_screen import TableScreen
from tuillm.dashboard.widgets.run_details import RunDetails
from tuillm.dashboard.widgets.state import STATE_ROLES, state_words
from tuillm.dashboard.widgets.table import Column, EntryTable
from tuillm.errors import TuillmError
from tuillm.store.snapshot import RunEntry
from tuillm.units import age, count, duration, figure, percent

COLUMNS = [
    Column[RunEntry]("run", "run", lambda e: e.id, lambda e: e.id.casefold()),
    Column[RunEntry](
        "state",
        "state",
        lambda e: state_words(e.status.state, e.status.queue_position),
        lambda e: (e.status.state, e.status.queue_position),
        rank=10,
        role=lambda e: STATE_ROLES[e.status.state],
    ),
    Column[RunEntry](
        "progress",
        "done",
        lambda e: percent(e.status.progress),
        lambda e: e.status.progress,
        True,
        rank=9,
    ),
    Column[RunEntry](
        "step", "step", lambda e: f"{e.status.step:,}", lambda e: e.status.step, True, rank=5
    ),
    Column[RunEntry](
        "loss",
        "loss",
        lambda e: figure(e.status.train_loss),
        lambda e: e.status.train_loss,
        True,
        rank=6,
    ),
    Column[RunEntry](
        "quality",
        "bits/byte",
        lambda e: figure(e.status.bits_per_byte),
        lambda e: e.status.bits_per_byte,
        True,
        rank=8,
        role=lambda e: "accent",
    ),
    Column[RunEntry](
        "speed",
        "tokens/s",
        lambda e: count(e.status.tokens_per_sec),
        lambda e: e.status.tokens_per_sec,
        True,
        rank=3,
    ),
    Column[RunEntry](
        "left", "left", lambda e: duration(e.status.eta), lambda e: e.status.eta, True, rank=4
    ),
    Column[RunEntry](
        "preset",
        "preset",
        lambda e: e.config.preset if e.config else "-",
        lambda e: e.config.preset if e.config else None,
        rank=1,
        role=lambda e: "muted",
    ),
    Column[RunEntry](
        "model",
        "model",
        lambda e: e.status.model or "-",
        lambda e: e.status.model,
        rank=2,
        role=lambda e: "muted",
    ),
    Column[RunEntry](
        "age",
        "started",
        lambda e: age(e.status.created),
        lambda e: -e.status.created,
        rank=7,
        role=lambda e: "muted",
    ),
]

_EMPTY = """\
No runs yet.

Press  2  to start one: a run grows a model on a text."""


class RunsScreen(RunActionsScreen, TableScreen[RunEntry]):
    """The table of all runs and the details of the one under its cursor."""

    NAV = "runs"
    COLUMNS = COLUMNS
    EMPTY = _EMPTY
    HELP = (
        "All training runs. They belong to no window: they go on when the dashboard is "
        "closed. Enter opens the live view; Space marks runs, o lays their curves over "
        "each other."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "overlay", "Overlay", id="runs.overlay"),
        Binding("space", "mark", "Mark", id="runs.mark"),
    ]

    def key(self, entry: RunEntry) -> str:
        return entry.id

    def details(self) -> RunDetails:
        return RunDetails()

    @property
    def target(self) -> RunEntry | None:
        return self.current

    def runs_changed(self) -> None:
        self.show(self.dashboard.runs)

    @on(EntryTable.Chosen)
    def _chosen(self, event: EntryTable.Chosen) -> None:
        self.dashboard.open_run(event.entry.id)

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_overlay(self) -> None:
        from tuillm.dashboard.screens.compare_runs import MOST, CompareRunsScreen

        marked = [entry for entry in self.dashboard.runs if entry.id in self.table.marked]
        if 2 <= len(marked) <= MOST:
            self.app.push_screen(CompareRunsScreen(marked))
        else:
            self.dashboard.show_error(
                TuillmError(
                    f"{len(marked)} runs are marked", f"mark 2 to {MOST} with Space, then press o"
                )
            )
