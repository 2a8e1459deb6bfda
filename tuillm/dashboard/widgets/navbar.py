"""The line at the top: where one is, where one can go, and what is growing meanwhile."""

from typing import TYPE_CHECKING, cast

from textual.content import Content
from textual.widgets import Static

from tuillm.units import duration, percent

if TYPE_CHECKING:
    from tuillm.dashboard.app import Dashboard

SCREENS = ("models", "train", "runs")


class NavBar(Static):
    """One line: the name of the program, the screens with their keys, the runs that are going."""

    def __init__(self, screen: str) -> None:
        super().__init__()
        self._screen = screen
        self._line = Content()

    def on_mount(self) -> None:
        self.update_runs()

    def on_resize(self) -> None:
        self.update_runs()

    def update_runs(self) -> None:
        """Draw the line anew."""
        parts = [Content.styled(" tuillm ", "bold $background on $primary"), Content("  ")]
        for number, screen in enumerate(SCREENS, 1):
            here = screen == self._screen
            label = Content.styled(screen.capitalize(), "bold $primary" if here else "$foreground")
            key = Content.styled(f"{number} ", "$muted")
            entry = key + label
            if not here:
                entry = entry.stylize(f"@click=app.go_to('{screen}')")
            parts += [entry, Content("   ")]
        left = Content.assemble(*parts)
        right = self._going()
        gap = max(self.size.width - left.cell_length - right.cell_length - 1, 1)
        line = Content.assemble(left, " " * gap, right)
        if line.is_same(self._line):
            return
        self._line = line
        self.update(line, layout=False)

    def _going(self) -> Content:
        runs = cast("Dashboard", self.app).runs
        if not runs:
            return Content()
        from tuillm.store.run_status import ACTIVE  # not for the first frame

        going = [entry for entry in runs if entry.status.state in ACTIVE]
        if not going:
            return Content()
        entry = next((each for each in going if each.status.state != "queued"), going[0])
        status = entry.status
        if status.state == "paused":
            text = f"‖ {entry.id} paused"
        elif status.state in ("preparing", "queued"):
            text = f"● {entry.id} {status.state}"
        else:
            left = f" · {duration(status.eta)} left" if status.eta else ""
            text = f"● {entry.id} {percent(status.progress)}{left}"
        more = f"  +{len(going) - 1}" if len(going) > 1 else ""
        return Content.styled(text + more, "$success")
