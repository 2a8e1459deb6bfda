"""What the three screens share: the bar at the top, the keys at the bottom, the way to the app."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import Screen

from tuillm.dashboard.screens.dismiss_once import DismissOnce
from tuillm.dashboard.widgets.key_footer import KeyFooter
from tuillm.dashboard.widgets.navbar import NavBar

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard
    from tuillm.dashboard.glossary import Meaning

Result = TypeVar("Result")


class BaseScreen(DismissOnce, Screen[None]):
    """A screen with the bar at its top, which shows that it is `NAV`."""

    NAV = ""
    # actions whose keys the bottom line has no room for in a narrow window
    WIDE_KEYS: ClassVar[frozenset[str]] = frozenset()
    # what would be lost if the dashboard were left now, as a sentence
    unsaved = ""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "what", "What is this?", id="app.what")]

    def __init__(self) -> None:
        super().__init__()
        self._missed: set[str] = set()
        # a new screen has the styles that hold now: else Textual parses all of them twice more
        self._css_update_count = self.app._css_update_count

    def meanings(self) -> "tuple[str, list[Meaning]]":
        """A title, and what the figures in front of a person mean; none where there are none."""
        return "", []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is explained where there is nothing to explain."""
        return action != "what" or self.explains()

    def explains(self) -> bool:
        """Whether there is something to explain; asked often, so it looks at no words."""
        return False

    def action_what(self) -> None:
        """Explain the figures of what the cursor is on."""
        from tuillm.dashboard.screens.meanings import MeaningsScreen

        title, meanings = self.meanings()
        if meanings:
            self.app.push_screen(MeaningsScreen(title, meanings))

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys that work here, ours in their order wherever the focus is.

        A narrow window leaves out `WIDE_KEYS`, and what explains, at its bottom.
        """
        declared = list(self._bindings.key_to_bindings)

        def order(item: tuple[str, ActiveBinding]) -> tuple[int, int]:
            key, found = item
            if found.node is self and key in declared:
                return 1, declared.index(key)
            return (2 if found.node is self.app else 0), 0

        found = dict(sorted(super().active_bindings.items(), key=order))
        if self.has_class("-narrow"):
            for key, each in found.items():
                if each.binding.action in self.WIDE_KEYS | {"what"}:
                    found[key] = each._replace(binding=replace(each.binding, show=False))
        return found

    @property
    def dashboard(self) -> "Dashboard":
        """The app, with what it offers to screens."""
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        yield NavBar(self.NAV)
        yield from self.body()
        yield KeyFooter(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        """What stands between the bar and the keys."""
        yield from ()

    def on_mount(self) -> None:
        self.dashboard.models_changed.subscribe(self, self._models_changed)
        self.dashboard.runs_changed.subscribe(self, self._runs_changed)
        self.models_changed()
        self.runs_changed()

    def models_changed(self) -> None:
        """The registry is not what it was, or this is the first look."""

    def runs_changed(self) -> None:
        """Some run is not what it was, or this is the first look."""

    @property
    def covered(self) -> bool:
        """Whether nothing of this screen is seen, because another one stands over all of it."""
        stack = self.app.screen_stack
        above = stack[stack.index(self) + 1 :] if self in stack else []
        return any(screen.styles.background.a == 1 for screen in above)

    @property
    def is_current(self) -> bool:
        """Whether this screen is drawn.

        Textual draws a covered one too, and repaints all of the upper one for it.
        """
        return super().is_current and not self.covered

    def _models_changed(self, _: object = None) -> None:
        if self.covered:
            self._missed.add("models")
        else:
            self.models_changed()

    def _runs_changed(self, _: object = None) -> None:
        if self.covered:
            self._missed.add("runs")
        else:
            self.runs_changed()
            self.query_one(NavBar).update_runs()

    @on(events.ScreenResume)
    def _catch_up(self) -> None:
        """Draw what has changed while another screen covered this one."""
        missed, self._missed = self._missed, set()
        if "models" in missed:
            self._models_changed()
        if "runs" in missed:
            self._runs_changed()
