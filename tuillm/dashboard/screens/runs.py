"""The screen of the runs: all there are with their state, and what is known about each."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tuillm.dashboard.screens.run_actions import RunActionsScreen
from tuillm.dashboard.screens.table_screen import TableScreen
from tuillm.dashboard.widgets.columns import Column
from tuillm.dashboard.widgets.figures import Figures, small_line
from tuillm.dashboard.widgets.run_curve import RunCurve
from tuillm.dashboard.widgets.run_details import RunDetails
from tuillm.dashboard.widgets.state import STATE_ROLES, state_words
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.errors import TuillmError
from tuillm.store.run_folder import Run
from tuillm.store.run_status import ACTIVE
from tuillm.store.snapshot import RunEntry
from tuillm.units import age, count, duration, figure, percent, several

_CURVE, _BAR = 12, 6


def _done(entry: RunEntry) -> str:
    """How far a run is; of one that is going with a bar."""
    status = entry.status
    words = percent(status.progress)
    if status.state not in ACTIVE or status.state == "queued":
        return words
    full = round(_BAR * min(max(status.progress, 0.0), 1.0))
    return f"{'━' * full}{'─' * (_BAR - full)} {words:>4}"


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
    Column[RunEntry]("progress", "done", _done, lambda e: e.status.progress, True, rank=8, least=5),
    Column[RunEntry](
        "curve",
        "loss so far",
        lambda e: small_line(e.status.loss_curve, _CURVE),
        rank=4,
        role=lambda e: "secondary",
        least=_CURVE,
    ),
    Column[RunEntry](
        "step",
        "step",
        lambda e: f"{e.status.step:,}",
        lambda e: e.status.step,
        True,
        rank=3,
        least=7,
    ),
    Column[RunEntry](
        "loss",
        "train loss",
        lambda e: figure(e.status.train_loss),
        lambda e: e.status.train_loss,
        True,
        rank=6,
    ),
    Column[RunEntry](
        "quality",
        "bits per byte",
        lambda e: figure(e.status.bits_per_byte),
        lambda e: e.status.bits_per_byte,
        True,
        rank=9,
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
        "left",
        "left",
        lambda e: duration(e.status.eta),
        lambda e: e.status.eta,
        True,
        rank=3,
        least=7,
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

    def figures(self) -> ComposeResult:
        yield Figures(classes="panel")

    @on(RunCurve.Followed)
    def _followed(self, event: RunCurve.Followed) -> None:
        if entry := self.current:
            self.query_one(Figures).show(event.history, entry.status, None)

    def run_of(self, entry: RunEntry) -> tuple[Run, bool] | None:
        return entry.run, entry.status.val_tokens != 0

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
        from tuillm.dashboard.screens.compare_runs import CompareRunsScreen

        marked = [entry for entry in self.dashboard.runs if entry.id in self.table.marked]
        if len(marked) >= 2:
            self.app.push_screen(CompareRunsScreen(marked))
        else:
            self.dashboard.show_error(
                TuillmError(
                    f"{several(len(marked), 'run')} marked",
                    "mark two or more with Space, then press o",
                )
            )
