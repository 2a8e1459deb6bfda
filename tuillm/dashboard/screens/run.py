"""The live view of one run: its curves, its figures, its samples, its log, and the wheel."""

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.process_usage import MachineUse, MachineWatch
from tuillm.dashboard.run_curves import loss_curves
from tuillm.dashboard.run_follower import Follower
from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.run_actions import RunActionsScreen
from tuillm.dashboard.widgets.axes import AxisName
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.figures import Figures
from tuillm.dashboard.widgets.log import LogTail
from tuillm.dashboard.widgets.run_head import RunHead
from tuillm.dashboard.widgets.samples import Samples
from tuillm.store.jsonl import Sample
from tuillm.store.run_folder import Run, get_run
from tuillm.store.run_status import ACTIVE
from tuillm.store.snapshot import RunEntry

_AXES: tuple[AxisName, ...] = ("step", "elapsed", "epoch")
_MACHINE_EVERY = 2.0


class RunScreen(RunActionsScreen):
    """One run as it goes. In a narrow or low window one panel at a time; Tab goes on."""

    NAV = "runs"
    HELP = (
        "One run as it goes. Tab goes from panel to panel. The run belongs to no window: "
        "leaving this one does not touch it."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="run.back"),
        Binding("tab", "panel(1)", "Next panel", id="run.panel"),
        Binding("shift+tab", "panel(-1)", "Previous panel", id="run.panel_back", show=False),
        Binding("X", "axis", "Steps, time or epochs below the chart", id="run.axis", show=False),
    ]
    PANELS: ClassVar[tuple[type[Widget], ...]] = (Chart, Figures, Samples, LogTail)

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._run: Run = get_run(run_id)
        self._follower = Follower(self, self._run, self._news)
        self._machine = MachineWatch()
        self._use: MachineUse | None = None
        self._state = ""
        self._axis = 0
        self._panel = 0

    def body(self) -> ComposeResult:
        yield RunHead()
        with Vertical(id="panels"):
            with Horizontal(id="upper"):
                yield Chart()
                yield Figures()
            with Horizontal(id="lower"):
                yield Samples()
                yield LogTail()
        yield Static(id="dots")

    def on_mount(self) -> None:
        self.runs_changed()
        self._follower.start()
        self.set_interval(_MACHINE_EVERY, self._look_at_machine)
        self._look_at_machine()
        self._show_panel()

    @property
    def target(self) -> RunEntry | None:
        return next((entry for entry in self.dashboard.runs if entry.id == self.run_id), None)

    # what is new

    def runs_changed(self) -> None:
        entry = self.target
        if entry:
            self.query_one(RunHead).show(entry)
            self._draw_figures()
            if entry.status.state != self._state:
                self._state = entry.status.state
                self.refresh_bindings()
        else:
            self._leave_if_gone()

    def removed(self) -> None:
        self._leave_if_gone()

    def _leave_if_gone(self) -> None:
        """Leave when the run was deleted; with a question or another screen open, later."""
        if self.app.screen is self and not self._run.path.is_dir():
            self.dismiss()

    def _news(self, samples: list[Sample], log: str) -> None:
        if samples:
            self.query_one(Samples).add(samples)
        if log:
            self.query_one(LogTail).add(log)
        self._draw_chart()
        self._draw_figures()

    def _draw_chart(self) -> None:
        entry = self.target
        held_out = not entry or entry.status.val_tokens != 0
        curves, marks = loss_curves(self._follower.history, _AXES[self._axis], held_out=held_out)
        self.query_one(Chart).show(curves, marks, x_axis=_AXES[self._axis])

    def _draw_figures(self) -> None:
        if entry := self.target:
            self.query_one(Figures).show(self._follower.history, entry.status, self._use)

    def _look_at_machine(self) -> None:
        """Ask in a thread what the run's process uses: GPUs take their time to answer."""
        entry = self.target
        if not self.is_current or not entry or entry.status.state not in ACTIVE:
            self._use = None
            return
        pid, gpu = entry.status.pid, entry.status.device == "cuda"

        def look() -> None:
            use = self._machine.look(pid, gpu=gpu)
            self.app.call_from_thread(self._saw_machine, use)

        run_in_background(self, look, group="machine", exclusive=True, repeated=True)

    def _saw_machine(self, use: MachineUse | None) -> None:
        self._use = use
        self._draw_figures()

    @on(events.ScreenSuspend)
    def _left(self) -> None:
        self._follower.pause()

    @on(events.ScreenResume)
    def _came_back(self) -> None:
        self._follower.resume()
        self._leave_if_gone()

    # keys

    def action_back(self) -> None:
        self.dismiss()

    def action_panel(self, by: int) -> None:
        self._panel = (self._panel + by) % len(self.PANELS)
        self._show_panel()

    def _show_panel(self) -> None:
        for number, kind in enumerate(self.PANELS):
            self.query_one(kind).set_class(number == self._panel, "-current")
        self.query_one("#upper").set_class(self._panel < 2, "-current")
        self.query_one("#lower").set_class(self._panel >= 2, "-current")
        self.query_one(self.PANELS[self._panel]).focus()
        names = ("chart", "figures", "samples", "log")
        self.query_one("#dots", Static).update(
            "   ".join(
                f"[b $primary]{name}[/]" if number == self._panel else f"[$muted]{name}[/]"
                for number, name in enumerate(names)
            )
        )

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A panel that is clicked on is the current one too."""
        clicked = event.widget.ancestors_with_self if event.widget else ()
        for number, kind in enumerate(self.PANELS):
            if self.query_one(kind) in clicked and number != self._panel:
                self._panel = number
                self._show_panel()

    def action_axis(self) -> None:
        self._axis = (self._axis + 1) % len(_AXES)
        self._draw_chart()

    def action_find(self) -> None:
        """Ask for a text to find in the log."""
        log = self.query_one(LogTail)
        self.app.push_screen(
            Ask("Find in the log"), lambda text: log.find(text) if text is not None else None
        )
