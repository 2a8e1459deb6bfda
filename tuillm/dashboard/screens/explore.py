"""A text explored before anything is trained on it: its figures, and what a model would read."""

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tuillm.config import TrainConfig
from tuillm.dashboard.background import run_in_background
from tuillm.dashboard.screens.base import BaseScreen
from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.widgets.explore_view import ExploreHead, ExploreView
from tuillm.errors import TuillmError, printable
from tuillm.store.workers.exploration_record import Exploration
from tuillm.store.workers.explore_process import ExploreProcess, ExploreProgress
from tuillm.text_report.page_file import page_target, write_page
from tuillm.urls import public_url


class ExploreScreen(BaseScreen):
    """The text of a run's form, explored by a process of its own that ends with this screen."""

    NAV = "train"
    HELP = (
        "The text of the form, read as the form says. A process of its own explores it, which ends "
        "when you go back. Nothing is trained."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="explore.back"),
        Binding("w", "page", "Page to share", id="explore.page"),
        Binding("t", "train", "To the form", id="explore.train"),
        Binding("tab", "panel(1)", "Next panel", id="explore.panel"),
        Binding("shift+tab", "panel(-1)", "Previous panel", id="explore.panel_back", show=False),
    ]

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self._config = config
        self._process: ExploreProcess | None = None
        self._seen: Exploration | None = None

    def body(self) -> ComposeResult:
        yield ExploreHead()
        yield ExploreView()

    def on_mount(self) -> None:
        names = [Path(public_url(source)).name for source in self._config.corpus]
        self.query_one(ExploreHead).begin(", ".join(names))
        self.query_one(ExploreView).focus()
        self.app.theme_changed_signal.subscribe(self, self._recolored)
        self._begin()

    def _begin(self) -> None:
        try:
            self._process = process = ExploreProcess(self._config, self._stray)
        except TuillmError as error:
            self._failed(error)
            return

        def read() -> None:
            """In a thread: hand on each piece of news while anybody wants it."""
            for news in process:
                self.app.call_from_thread(self._heard, news)

        run_in_background(self, read, group="explore", failed=self._failed)

    def _stray(self, line: str) -> None:
        """In a thread: say what the process printed besides news."""
        words = f"the exploration printed: {line}"
        self.app.call_from_thread(self.dashboard.notify, words, severity="warning", timeout=10)

    def _heard(self, news: ExploreProgress | Exploration) -> None:
        head = next(iter(self.query(ExploreHead)), None)
        if head is None:  # the screen is being left
            return
        if isinstance(news, ExploreProgress):
            head.tell(news)
            return
        self._seen = news
        head.show(news)
        self.query_one(ExploreView).show(news)
        self.refresh_bindings()

    def _failed(self, error: TuillmError) -> None:
        for head in self.query(ExploreHead):
            head.fail(str(error))

    def _recolored(self, _: object) -> None:
        if self._seen:
            self.query_one(ExploreHead).show(self._seen)
            self.query_one(ExploreView).redraw()

    def on_unmount(self) -> None:
        if self._process:
            self._process.cancel()

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is no page of a text before it has been looked at."""
        return action != "page" or self._seen is not None

    def action_back(self) -> None:
        self.dismiss()

    def action_train(self) -> None:
        """Go to the form, ready to type."""
        self.dismiss()
        self.dashboard.call_after_refresh(self.dashboard.action_go_to, "train")

    def action_panel(self, by: int) -> None:
        self.query_one(ExploreView).go_to_panel(by)

    def action_page(self) -> None:
        """Ask for a file and write the page; only an older page of ours is replaced."""
        if self._seen is None:
            return
        seen, texts = self._seen, self._config.corpus

        def write(typed: str | None) -> None:
            if typed:
                self.dashboard.run_in_thread(
                    lambda: write_page(page_target(typed, texts), seen), f"wrote {typed}"
                )

        self.app.push_screen(
            Ask(
                "Write a page to share",
                _page_name(seen),
                check=partial(page_target, texts=texts),
                note="One file of HTML that needs nothing else.",
            ),
            write,
        )


def explore_problem(config: TrainConfig) -> str:
    """Say why the text of a form cannot be explored, or ''."""
    from tuillm.training.start_checks import missing_text

    return missing_text(config) if config.corpus else "no text was named"


def _page_name(seen: Exploration) -> str:
    """A name for the page, after the text's where that can be typed."""
    stem = Path(seen.label).stem
    plain = printable(stem) == stem and stem.isprintable() and "/" not in stem
    return f"{stem if plain and stem else 'text'}.html"
