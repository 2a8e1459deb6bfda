"""The screen where a run is started: the form, and beside it what to expect of it."""

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Button, Input, Static

from tuillm.config import TrainConfig
from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.glossary import Meaning
from tuillm.dashboard.path_input import dropped_paths, first_path, join_paths
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.similar_runs import similar_runs
from tuillm.dashboard.widgets.field import SettingField
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.dashboard.widgets.form import FIRST, Group, SearchLine, TrainForm
from tuillm.errors import TuillmError
from tuillm.store.run_status import ACTIVE
from tuillm.store.workers.forecast_process import Forecast, ForecastProcess
from tuillm.training.start_checks import missing_text, taken_name
from tuillm.user_paths import current_folder

# a forecast costs a process: it waits until the typing stops
_PAUSE = 0.7


class TrainScreen(BaseScreen):
    """Fill in, look at the forecast, start."""

    NAV = "train"
    # a field that was left stays left: after a question digits lead to screens, not into its text
    AUTO_FOCUS = ""
    HELP = (
        "What stands empty is decided by the preset. Only the text is needed. The forecast "
        "looks at the text and takes a few real steps on this machine."
    )
    WIDE_KEYS = frozenset({"search"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "start", "Start", id="train.start", priority=True),
        Binding("ctrl+y", "queue", "Queue", id="train.queue", priority=True),
        Binding("ctrl+o", "pick", "Pick a text", id="train.pick", priority=True),
        Binding("ctrl+a", "advanced", "All settings", id="train.advanced", priority=True),
        Binding("ctrl+e", "explore", "Explore", id="train.explore", priority=True),
        Binding("ctrl+l", "clear", "Clear the form", id="train.clear", show=False, priority=True),
        Binding("escape", "leave", "Leave", id="train.leave"),
        Binding("slash", "search", "Search", id="train.search", key_display="/"),
        Binding("down", "app.focus_next", "Next field", id="train.next", show=False),
        Binding("up", "app.focus_previous", "Previous field", id="train.previous", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._process: ForecastProcess | None = None
        self._asked: TrainConfig | None = None
        self._asked_about: tuple[SettingField, ...] = ()
        self._started: dict[str, object] = {}  # what was typed for the last run that was started

    def body(self) -> ComposeResult:
        with Horizontal(id="columns"):
            with Vertical(id="list", classes="panel") as form:
                form.border_title = "new run"
                yield TrainForm()
                yield Static(id="problem", markup=False)
                with Horizontal(id="buttons"):
                    start = "Start training (Ctrl-R)"
                    yield Button(start, variant="primary", compact=True, id="start")
                    queue = "Start after the others (Ctrl-Y)"
                    yield Button(queue, compact=True, id="queue")
            yield ForecastPanel()

    def on_mount(self) -> None:
        self._check()
        self.begin()

    # what the app says

    def models_changed(self) -> None:
        names = [model.name for model in self.dashboard.models if not model.problem]
        self.query_one(TrainForm).offer_models(names)

    def runs_changed(self) -> None:
        self.query_one("#queue").display = self._others_go()
        self.refresh_bindings()

    def start_from(self, model: str) -> None:
        """Set the form to start from a model, '' from scratch."""
        self.query_one(TrainForm)["init_from"].fill(model)
        self.begin()

    def go_to_setting(self, name: str) -> None:
        """Put the cursor into a field, unfolding its group."""
        self.query_one(TrainForm).when_whole(partial(self._unfold, name))

    def _unfold(self, name: str) -> None:
        field = self.query_one(TrainForm)[name]
        for node in field.ancestors:
            if isinstance(node, Group):
                node.collapsed = False
        self.call_after_refresh(self._focus, field)

    def _focus(self, field: SettingField) -> None:
        field.query("Input, Select").first().focus()
        field.scroll_visible()

    def again(self, config: TrainConfig) -> None:
        """Fill the form with the settings of a run, to train again with some of them changed."""
        self.query_one(TrainForm).fill_from(config)
        self.set_focus(None)
        self.begin()

    def begin(self) -> None:
        """Put the cursor where typing begins, unless it stands in a field."""
        if self.focused is None:
            self.query_one(TrainForm)["corpus"].query("Input").first().focus()

    @property
    def unsaved(self) -> str:  # type: ignore[override]
        """What would be lost on quitting: a form that was begun."""
        if not self.is_mounted or not self.query(TrainForm):
            return ""
        return (
            "The form of a run is filled in but not started."
            if self.query_one(TrainForm).typed not in ({}, self._started)
            else ""
        )

    # the form

    @on(TrainForm.Changed)
    def _changed(self) -> None:
        self._check()

    def on_paste(self, event: events.Paste) -> None:
        """A file dropped anywhere on this screen is the text to learn from."""
        if text := dropped_paths(event.text):
            self.query_one(TrainForm)["corpus"].fill(text)

    def _check(self) -> None:
        """Say what is missing or wrong; ask for a forecast when nothing is."""
        problem, config = "", None
        try:
            config = self.query_one(TrainForm).config()
            if config.corpus:
                problem = missing_text(config) or _name_problem(config)
        except TuillmError as error:
            problem = str(error)
        line = self.query_one("#problem", Static)
        line.update(problem)
        line.display = bool(problem)
        if self._timer:
            self._timer.stop()
        if config is None:
            self._cancel()
            self.query_one(ForecastPanel).hold()
        elif not config.corpus:
            self._cancel()
            self.query_one(ForecastPanel).wait()
        elif not _same_run(config, self._asked):
            self._timer = self.set_timer(_PAUSE, lambda: self._forecast(config))

    def _forecast(self, config: TrainConfig) -> None:
        self._cancel()
        self._asked = config
        panel = self.query_one(ForecastPanel)
        panel.compare(similar_runs(config, self.dashboard.runs))
        panel.begin()
        try:
            self._process = process = ForecastProcess(config, self._stray)
        except TuillmError as error:
            self.query_one(ForecastPanel).fail(error)
            return

        def read() -> None:
            """In a thread: hand on each stage while anybody wants it."""
            for found in process:
                self.app.call_from_thread(self._found, process, found)

        failed = partial(self._failed, process)
        run_in_background(self, read, group="forecast", failed=failed)

    def _stray(self, line: str) -> None:
        """In a thread: say what the process printed besides forecasts."""
        words = f"the forecast printed: {line}"
        self.app.call_from_thread(self.dashboard.notify, words, severity="warning")

    def _found(self, process: ForecastProcess, found: Forecast) -> None:
        if process is self._process:
            self.query_one(ForecastPanel).show(found)
            self.query_one(TrainForm).show_preview(found.preview)
            if found.presets:
                self.query_one(TrainForm).show_estimates(found.presets)

    def _failed(self, process: ForecastProcess, error: TuillmError) -> None:
        if process is self._process:
            self.query_one(ForecastPanel).fail(error)

    def _cancel(self) -> None:
        self._asked = None
        if self._process:
            self._process.cancel()
            self._process = None

    def on_unmount(self) -> None:
        self._cancel()

    # keys

    @on(Button.Pressed, "#start")
    def _pressed(self) -> None:
        self.action_start()

    @on(Button.Pressed, "#queue")
    def _queue_pressed(self) -> None:
        self.action_queue()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run is queued behind others, so that there have to be some; only a field is left."""
        if action == "leave":
            return self.focused is not None
        typing = isinstance(self.focused, Input)
        if action in ("search", "what") and typing:  # it would be typed
            return False
        return self._others_go() if action == "queue" else True

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Remember the setting that a person may ask about."""
        for node in event.widget.ancestors_with_self:
            if isinstance(node, SettingField):
                self._asked_about = (node,)

    def meanings(self) -> tuple[str, list[Meaning]]:
        """What the setting means that the cursor is in, or was; else those that are asked first."""
        form = self.query_one(TrainForm)
        fields = self._asked_about or [form[name] for name in FIRST]
        return "settings", [field.meaning for field in fields]

    def _others_go(self) -> bool:
        return any(entry.status.state in ACTIVE for entry in self.dashboard.runs)

    def action_queue(self) -> None:
        """Start the run when no other is going."""
        self.action_start(queue=True)

    def action_start(self, queue: bool = False) -> None:
        """Start the run; over a model of the same name only when the person says so."""
        try:
            config = self.query_one(TrainForm).config()
            name = taken_name(config) if config.corpus else ""
        except TuillmError as error:
            self.dashboard.show_error(error)
            return
        if not config.corpus:
            self.dashboard.show_error(TuillmError("no text was named", "Ctrl-O picks one"))
            self.query_one(TrainForm)["corpus"].query("Input").first().focus()
        elif problem := missing_text(config):
            self.dashboard.show_error(TuillmError(problem, "Ctrl-O picks one"))
        elif name:
            question = f"A model named {name!r} is there already. Train a new one in its place?"
            self.app.push_screen(
                Confirm("Replace it?", question, "Replace"),
                lambda yes: self._begin(config, True, queue) if yes else None,
            )
        else:
            self._begin(config, False, queue)

    def _begin(self, config: TrainConfig, replace: bool, queue: bool) -> None:
        self._cancel()
        typed = self.query_one(TrainForm).typed

        def started() -> None:
            self._started = typed

        self.dashboard.start(config, replace=replace, queue=queue, then=started)

    def action_pick(self) -> None:
        from tuillm.dashboard.screens.file_picker import FilesScreen

        field = self.query_one(TrainForm)["corpus"]

        def picked(paths: list[Path] | None) -> None:
            if paths:
                field.fill(join_paths([str(path) for path in paths]))

        self.app.push_screen(FilesScreen(first_path(field.text) or current_folder()), picked)

    def action_explore(self) -> None:
        """Explore the text; a forecast that measures meanwhile would measure both."""
        from tuillm.dashboard.screens.explore import ExploreScreen, explore_problem

        try:
            config = self.query_one(TrainForm).config()
            if problem := explore_problem(config):
                raise TuillmError(problem, "Ctrl-O picks one")
        except TuillmError as error:
            self.dashboard.show_error(error)
            return
        if self._process and self._process.running:
            self._cancel()
        self.app.push_screen(ExploreScreen(config), lambda _: self._check())

    def action_advanced(self) -> None:
        groups = list(self.query("Collapsible"))
        folded = all(group.collapsed for group in groups)  # type: ignore[attr-defined]
        for group in groups:
            group.collapsed = not folded  # type: ignore[attr-defined]

    def action_clear(self) -> None:
        self.query_one(TrainForm).clear()
        self.set_focus(None)
        self.begin()

    def action_search(self) -> None:
        """Find a setting among all of them."""
        self.query_one(SearchLine).focus()

    def action_leave(self) -> None:
        """Leave the field, so that the keys of screens work again."""
        self.set_focus(None)


def _same_run(config: TrainConfig, asked: TrainConfig | None) -> bool:
    """Whether nothing was changed but the name, of which no forecast depends."""
    return asked is not None and config == asked.model_copy(update={"name": config.name})


def _name_problem(config: TrainConfig) -> str:
    """A word about the name while there is time to choose another."""
    if name := taken_name(config):
        return f"a model named {name!r} is there: it would be replaced, or choose another name"
    return ""
