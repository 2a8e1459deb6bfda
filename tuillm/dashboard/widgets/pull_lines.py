"""A line for each pull below the table of models: how far, how long still, or why it stands.

Knows pulls as the store tells of them; there is nothing of it where there are none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.units import duration, size

if TYPE_CHECKING:
    from tuillm.store.hub.pull_folder import PullStatus

_BAR = 16


class PullLines(ThemeAware, Static):
    """Shows pulls, a line each, and hides when there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._pulls: Sequence[PullStatus] = ()

    def on_mount(self) -> None:
        self.display = False

    def show(self, pulls: Sequence["PullStatus"]) -> None:
        """Draw these from now on."""
        self._pulls = pulls
        self.display = bool(pulls)
        self.redraw()

    def redraw(self) -> None:
        self.update(Text("\n").join(self._line(pull) for pull in self._pulls))

    def _line(self, pull: "PullStatus") -> Text:
        from tuillm.store.hub.pull_folder import PULLING

        colors = self.app.theme_variables
        line, muted = Text(), colors.get("muted", "")
        at_work = pull.state in PULLING
        sign = "↓" if at_work else {"failed": "✗", "lost": "?"}.get(pull.state, "‖")
        line.append(f"{sign} {pull.name}  ", style=colors["primary" if at_work else "foreground"])
        if at_work:
            full = round(_BAR * pull.fraction)
            line.append("━" * full, style=colors["primary"])
            line.append("─" * (_BAR - full), style=muted)
            line.append(f" {pull.fraction:.0%}", style="bold")
            line.append(f"  {_pace(pull)}", style=muted)
        elif pull.error:
            hint = f" ({pull.hint})" if pull.hint else ""
            line.append("P tries again, X clears it   ", style=muted)  # a long error is cut
            line.append(pull.error + hint, style=colors["error"])
        else:
            how = "broke off" if pull.state == "lost" else "stopped"
            line.append(f"{how} at {pull.fraction:.0%} of {size(pull.total)}", style=muted)
            line.append("   P goes on, X throws it away", style=muted)
        return line


def _pace(pull: "PullStatus") -> str:
    """How long still and how fast, or what else is going on."""
    if pull.note:
        return pull.note
    if pull.state == "verifying":
        return "checking what has come"
    if not pull.total:
        return "asking the hub"
    pace = f"{duration(pull.eta)} left  {size(pull.rate)}/s  " if pull.rate else ""
    return f"{pace}{size(pull.done)} / {size(pull.total)}"
