"""The dashboard: three screens (models, train, runs), and what they share.

Holds the newest look at the registry and the runs, taken in a thread, and tells the screens
when it changed; does in threads what may take long, and says in a toast how it went.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.signal import Signal
from textual.worker import get_current_worker

from tuillm.dashboard.background import RepeatedErrors, run_in_background
from tuillm.dashboard.error_log import write_failure
from tuillm.dashboard.keymap import read_keymap
from tuillm.dashboard.later_screens import import_screens, make_runs, make_train
from tuillm.dashboard.palette import ActionCommands, NamedCommands, Palette
from tuillm.dashboard.pull_actions import news
from tuillm.dashboard.safe_output import SafeLines
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.theme_choice import ThemeChoice
from tuillm.dashboard.typed_ahead import TypedAhead
from tuillm.errors import TuillmError, printable
from tuillm.terminal.ending import ENDING, end_after

if TYPE_CHECKING:
    from tuillm.config import TrainConfig
    from tuillm.dashboard.screens.train import TrainScreen
    from tuillm.store.hub.pull_folder import PullStatus
    from tuillm.store.registry import Model
    from tuillm.store.run_folder import Run
    from tuillm.store.snapshot import ModelsSnapshot, PullsSnapshot, RunEntry, RunsSnapshot

_LOOK_EVERY = 1.0
# '5 min ago' becomes '6 min ago' although nothing changes on the disk
_AGE_EVERY = 60.0
_PATIENCE = 5.0
# seconds after the first frame at which the code of the other screens is read
_REST = 0.5
# seconds after which a toast has gone for certain
_GONE = 0.3


class Dashboard(App[None]):
    """See, steer and start everything; see `dashboard.tcss` for how it looks."""

    TITLE = "tuillm"
    CSS_PATH = "dashboard.tcss"
    MODES = {"models": ModelsScreen, "train": make_train, "runs": make_runs}
    DEFAULT_MODE = "models"
    COMMANDS = {ActionCommands, NamedCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (150, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go_to('models')", "Models", id="app.models", show=False),
        Binding("2", "go_to('train')", "Train", id="app.train", show=False),
        Binding("3", "go_to('runs')", "Runs", id="app.runs", show=False),
        Binding("ctrl+t", "themes", "Choose a theme", id="app.themes", show=False),
        Binding("q,ctrl+q", "quit", "Quit", id="app.quit", show=False),
        Binding("question_mark,f1", "keys", "Help", id="app.help", key_display="?"),
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", show=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._safe_lines = SafeLines()
        self.models: list[Model] = []
        self.runs: list[RunEntry] = []
        self.pulls: list[PullStatus] = []
        self.has_snapshot = False
        self.models_changed: Signal[None] = Signal(self, "models changed")
        self.runs_changed: Signal[None] = Signal(self, "runs changed")
        self.pulls_changed: Signal[None] = Signal(self, "pulls changed")
        self.repeated_errors = RepeatedErrors(self)
        self.failure = ""
        self.ended_by = 0  # the signal that has ended the dashboard
        self._snapshots: tuple[ModelsSnapshot, RunsSnapshot, PullsSnapshot] | None = None
        self._looking = False
        self._typed_ahead = TypedAhead(self, "go_to('train')", "chat", "go_on")
        self.themes = ThemeChoice(self)

    def on_mount(self) -> None:
        self._leave_on_signals()
        self.call_after_refresh(self._load_rest)

    def _leave_on_signals(self) -> None:
        """Let SIGTERM and SIGHUP leave the dashboard, which gives the terminal back."""
        for number in ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                with suppress(RuntimeError, ValueError):  # not in the main thread
                    asyncio.get_running_loop().add_signal_handler(number, self._leave, number)

    def _leave(self, number: int) -> None:
        self.ended_by = number
        # a terminal that has gone takes nothing more, and whoever writes to it may wait for ever
        end_after(_PATIENCE, number)
        self.exit()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._safe_lines]

    def notify(self, message: str, *, timeout: float | None = None, **options: Any) -> None:
        """Say something in a toast: as it is, for there may be names in it, and no markup."""
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        super().notify(printable(message), timeout=seconds, **options | {"markup": False})
        # Textual may forget to draw what lay below a toast that has gone
        self.set_timer(seconds + _GONE, lambda: self.screen.refresh())

    # what the screens use

    def refresh_snapshot(self) -> None:
        """Look at the disk in a thread; the signals tell what changed."""
        if not self._looking:
            self._looking = True
            run_in_background(self, self._look, group="look", repeated=True)

    def show_error(self, error: TuillmError) -> None:
        """Say what went wrong, in a toast."""
        self.clear_notifications()  # what was wrong before is of no interest any more
        self.screen.refresh()
        self.notify(str(error), severity="error", timeout=8)

    def run_in_thread(
        self,
        action: Callable[[], object],
        said: str = "",
        then: Callable[[], None] = lambda: None,
        failed: Callable[[TuillmError], None] | None = None,
    ) -> None:
        """Do something that may take long in a thread; tell in a toast how it went.

        That is `said` or the text that `action` returns, or the error it raised. `then` is called
        on the event loop when it went well, `failed` in place of the toast when it did not.
        """

        def work() -> None:
            result = action()
            words = result if isinstance(result, str) else said
            if words:
                self.call_from_thread(self.notify, words)
            self.call_from_thread(then)
            self.call_from_thread(self.refresh_snapshot)

        run_in_background(self, work, group="actions", failed=failed)

    def train_from(self, model: str) -> None:
        """Go to the form, set to start from a model of the registry ('' from scratch)."""
        self._go_to_form(lambda form: form.start_from(model))

    def go_to_setting(self, name: str) -> None:
        """Go to a setting of the form."""
        self._go_to_form(lambda form: form.go_to_setting(name))

    def train_again(self, config: "TrainConfig") -> None:
        """Go to the form, filled with the settings of a run."""
        self._go_to_form(lambda form: form.again(config))

    def start(
        self,
        config: "TrainConfig",
        *,
        replace: bool = False,
        queue: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Start a run, or queue it, do `then`, and go to see it; an error is told in a toast."""
        from tuillm.store.workers.launch import start_run
        from tuillm.training.start_checks import validate_start, validate_text

        started: list[Run] = []

        def begin() -> str:
            validate_start(config, replace=replace)
            validate_text(config)
            started.append(start_run(config, replace=replace, queue=queue))
            how = "is queued; it starts" if queue else "has started; it goes on"
            return f"run {started[0].id} {how} without the dashboard"

        def see() -> None:
            then()
            self.open_run(started[0].id)

        self.run_in_thread(begin, then=see)

    def open_run(self, run_id: str) -> None:
        """Go to the live view of a run."""
        from tuillm.dashboard.screens.run import RunScreen
        from tuillm.dashboard.screens.runs import RunsScreen

        self.switch_mode("runs")
        for screen in self.screen_stack:
            if isinstance(screen, RunsScreen):
                screen.seek(run_id)  # on coming back the cursor stands there
        if isinstance(self.screen, RunScreen) and self.screen.run_id == run_id:
            return
        try:
            screen = RunScreen(run_id)
        except TuillmError as gone:  # somebody deleted it since the last look
            self.show_error(gone)
            return
        while isinstance(self.screen, RunScreen):
            self.pop_screen()
        self.push_screen(screen)

    # keys

    def action_go_to(self, screen: str) -> None:
        if screen == "train":
            self._go_to_form(lambda form: form.begin())
        else:
            self.switch_mode(screen)

    def _go_to_form(self, then: Callable[["TrainScreen"], None]) -> None:
        from tuillm.dashboard.screens.train import TrainScreen

        def there() -> None:
            if isinstance(self.screen, TrainScreen):
                then(self.screen)

            self._typed_ahead.release()

        self._typed_ahead.hold()
        self.switch_mode("train")
        self.call_after_refresh(there)

    async def on_event(self, event: events.Event) -> None:
        """Handle an event now, unless it was typed ahead."""
        if not self._typed_ahead.keeps(event):
            await super().on_event(event)

    def drop_typed(self) -> None:
        """Throw away the keys that were typed behind the one that opened a chat."""
        self._typed_ahead.drop()

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_themes(self) -> None:
        from tuillm.dashboard.screens.themes import ThemesScreen

        self.push_screen(ThemesScreen())

    def action_keys(self) -> None:
        from tuillm.dashboard.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    async def action_quit(self) -> None:
        from tuillm.dashboard.screens.dialogs import Confirm

        screens = [screen for stack in self._screen_stacks.values() for screen in stack]
        unsaved = next(
            (words for screen in screens if (words := getattr(screen, "unsaved", ""))), ""
        )
        if not unsaved:
            self.exit()
            return
        question = Confirm("Quit?", f"{unsaved} Training goes on without the dashboard.", "Quit")
        self.push_screen(question, lambda yes: self.exit() if yes else None)

    # themes

    def choose_theme(self, name: str) -> None:
        """Use a theme from now on, here and in the chat."""
        try:
            self.themes.choose(name)
        except TuillmError as error:
            self.show_error(error)

    def _load_rest(self) -> None:
        """What the first frame can do without: the disk, the other themes, a person's keys."""
        self.refresh_snapshot()
        self.set_interval(_LOOK_EVERY, self.refresh_snapshot)
        self.set_timer(_REST, partial(run_in_background, self, import_screens, group="import"))
        self.set_interval(_AGE_EVERY, self._tell)
        errors = self.themes.load_all()
        keymap, more = read_keymap()
        self.set_keymap(keymap)
        for error in [*errors, *more]:
            self.notify(str(error), severity="warning", timeout=10)

    # the disk

    def _look(self) -> None:
        """In a thread: look, and tell."""
        # imported here: the first frame must not wait for all that the store is made of
        from tuillm.store.snapshot import ModelsSnapshot, PullsSnapshot, RunsSnapshot
        from tuillm.store.workers.processes import reap_ended

        reap_ended()
        try:
            if self._snapshots is None:
                self._snapshots = ModelsSnapshot(), RunsSnapshot(), PullsSnapshot()
            # pulls first: one that is gone has brought its model before
            pulls = self._snapshots[2].refresh()
            models, runs = (snapshot.refresh() for snapshot in self._snapshots[:2])
        finally:
            self._looking = False
        changed = models or runs or pulls or not self.has_snapshot
        if changed and not get_current_worker().is_cancelled:
            self.call_from_thread(self._apply_snapshot, models, runs, pulls)

    def _apply_snapshot(self, models: bool, runs: bool, pulls: bool) -> None:
        assert self._snapshots is not None
        first, self.has_snapshot = not self.has_snapshot, True
        if models or first:
            self.models = self._snapshots[0].models
            self.models_changed.publish(None)
        if runs or first:
            self.runs = self._snapshots[1].runs
            self.runs_changed.publish(None)
        if pulls:
            before, self.pulls = self.pulls, self._snapshots[2].pulls
            self.pulls_changed.publish(None)
            for heard in news(before, self.pulls, {model.name for model in self.models}):
                if isinstance(heard, TuillmError):
                    self.show_error(heard)
                else:
                    self.notify(heard)

    def _tell(self) -> None:
        self.models_changed.publish(None)
        self.runs_changed.publish(None)

    def _handle_exception(self, error: Exception) -> None:
        """A mistake of ours ends the dashboard with one line, and is written down whole."""
        self.failure = self.failure or write_failure(error)
        super()._handle_exception(error)

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()
