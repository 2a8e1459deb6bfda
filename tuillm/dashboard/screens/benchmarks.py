"""What `tuillm bench` has measured on this machine: bars of the newest figures, and their history.

Reads the kept results; measures nothing.
"""

from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tuillm.bench.bench_history import kept_runs
from tuillm.bench.bench_record import MEASURES, Measurement
from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.bench_board import Board, boards_of
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.widgets.axes import StepAxis
from tuillm.dashboard.widgets.bench_bars import BenchBars
from tuillm.dashboard.widgets.chart import Chart, Curve
from tuillm.errors import one_line
from tuillm.units import age, several

_EMPTY = """\
Nothing has been measured on this machine yet.

tuillm bench          how fast models decode, in about a minute
tuillm bench --all    everything: prefill, training, start-up, tokenizers"""
_ROLES = ("primary", "secondary", "accent", "success", "warning")


class BenchmarksScreen(BaseScreen):
    """The boards of all machines and models that were measured, one at a time."""

    NAV = "models"
    HELP = (
        "What `tuillm bench` has measured, of one model on one machine at a time. Every program is "
        "shown with its newest figure. Nothing is measured here."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="benchmarks.back"),
        Binding("m", "next_board", "Next model", id="benchmarks.next"),
        Binding("tab", "app.focus_next", "Next panel", id="benchmarks.panel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._boards: list[Board] = []
        self._number = 0

    def body(self) -> ComposeResult:
        yield Static(id="bench-head", markup=False)
        yield BenchBars()
        yield Chart(empty="no history yet", smoothing=0, x_axis=_RunAxis())
        yield Static(_EMPTY, id="empty", markup=False)

    def on_mount(self) -> None:
        self.set_class(True, "-waiting")
        self.app.theme_changed_signal.subscribe(self, self._recolored)

        def read() -> None:
            """In a thread: read the history."""
            self.app.call_from_thread(self._show_boards, boards_of(kept_runs()))

        run_in_background(self, read, group="bench")

    def _show_boards(self, boards: list[Board]) -> None:
        if not self.is_attached:
            return
        self._boards = boards
        self.set_class(False, "-waiting")
        self.set_class(not boards, "-nothing")
        self.refresh_bindings()
        if boards:
            self._show()
            self.query_one(BenchBars).focus()

    @property
    def _board(self) -> Board:
        return self._boards[self._number % len(self._boards)]

    def _show(self) -> None:
        board, colors = self._board, self.app.theme_variables
        runs = len(board.runs)
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(one_line(board.model), f"bold {colors['primary']}")
        more = f", model {self._number % len(self._boards) + 1} of {len(self._boards)}"
        when = f"   measured {age(board.runs[-1].time)}, {several(runs, 'run')} kept"
        head.append(when + (more if len(self._boards) > 1 else ""), colors["muted"])
        head.append(f"\n{one_line(board.fingerprint)}", colors["muted"])
        self.query_one("#bench-head", Static).update(head)
        self.query_one(Chart).show(())
        self.query_one(BenchBars).show(board.newest)

    def _recolored(self, _: object) -> None:
        if self._boards:
            self._show()

    @on(BenchBars.Chosen)
    def _chosen(self, event: BenchBars.Chosen) -> None:
        chosen = event.measurement
        chart = self.query_one(Chart)
        chart.border_title = Text(_title(chosen))
        history = self._board.history(chosen)
        curves = [
            Curve(one_line(name), x, y, _ROLES[number % len(_ROLES)], _kind(x))
            for number, (name, (x, y)) in enumerate(history.items())
        ]
        chart.reset()
        chart.show(curves)

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is another model only where several were measured."""
        allowed = action != "next_board" or len(self._boards) > 1
        return allowed and super().check_action(action, parameters)

    def action_next_board(self) -> None:
        self._number += 1
        self._show()

    def action_back(self) -> None:
        self.dismiss()


class _RunAxis(StepAxis):
    """Runs of the benchmark by their numbers, the first kept one is 1."""

    unit = "run"


def _kind(x: list[int]) -> Literal["line", "points"]:
    return "line" if len(x) > 1 else "points"


def _title(chosen: Measurement) -> str:
    words = f"{MEASURES[chosen.measure].partition(':')[0].partition(',')[0]}, {chosen.case}"
    return one_line(f"history of {words}: {chosen.unit}")
