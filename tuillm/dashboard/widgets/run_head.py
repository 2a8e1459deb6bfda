"""The two lines above a run's panels: what it is and how far, and what became of it."""

from rich.text import Text

from tuillm.dashboard.widgets.cached_static import CachedStatic
from tuillm.dashboard.widgets.state import STATE_ROLES, state_words
from tuillm.dashboard.widgets.theme_aware import ThemeAware
from tuillm.store.run_status import ACTIVE, RESUMABLE, Status
from tuillm.store.snapshot import RunEntry
from tuillm.units import count, duration, figure

_BAR = 24


class RunHead(ThemeAware, CachedStatic):
    """Shows a RunEntry; the second line is a progress bar, or how the run ended."""

    _entry: RunEntry | None = None

    def show(self, entry: RunEntry) -> None:
        """Draw the entry as it is now."""
        self._entry = entry
        self.redraw()

    def redraw(self) -> None:
        if (entry := self._entry) is None:
            return
        colors, status = self.app.theme_variables, entry.status
        muted = colors.get("muted", "")
        first = Text(no_wrap=True, overflow="ellipsis")
        first.append(entry.id, style=f"bold {colors['primary']}")
        role = STATE_ROLES[status.state]
        first.append(f"  {state_words(status.state)}", style=colors.get(role, ""))
        if status.doing:
            first.append(f"   {status.doing}", style=muted)
        if status.state == "paused" and status.error:
            first.append(f"   {status.error}", style=colors.get("error", ""))
        if status.parameters:
            first.append(
                f"   {count(status.parameters)} parameters · "
                f"{count(status.train_tokens)} tokens of text · "
                f"{status.device} {status.dtype}",
                style=muted,
            )
        second = self._progress(status) if status.state in ACTIVE else self._end(entry)
        self.draw(Text("\n").join([first, second]))

    def _progress(self, status: Status) -> Text:
        colors = self.app.theme_variables
        width = min(_BAR, max(self.size.width - 50, 8))
        # a damaged file may say any number, or none at all
        full = round(width * status.progress) if 0 <= status.progress <= 1 else 0
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("━" * full, style=colors["primary"])
        text.append("─" * (width - full), style=colors.get("muted", ""))
        text.append(f" {status.progress:.0%}", style="bold")
        text.append(
            f"  step {status.step:,}  epoch {status.epoch:.1f}  {duration(status.elapsed)} done",
            style=colors.get("muted", ""),
        )
        if status.eta is not None:
            text.append(f"  {duration(status.eta)} left", style=colors["foreground"])
        return text

    def _end(self, entry: RunEntry) -> Text:
        colors, status = self.app.theme_variables, entry.status
        text = Text(no_wrap=True, overflow="ellipsis")
        if status.state in ("failed", "lost"):
            what = status.error or "its process is gone"
            hint = f" ({status.hint})" if status.hint else ""
            text.append(f"{what}{hint}", style=colors["error"])
            text.append("   R resumes it", style=colors.get("muted", ""))
            return text
        text.append(
            f"{status.step:,} steps in {duration(status.elapsed)}  "
            f"{_before_and_after(status)} bits per byte",
            style=colors.get("muted", ""),
        )
        if status.model:
            text.append(f"  model {status.model}", style=colors["foreground"])
            text.append("   c talks to it", style=colors.get("muted", ""))
        if status.state in RESUMABLE:
            text.append("   R resumes it", style=colors.get("muted", ""))
        return text


def _before_and_after(status: Status) -> str:
    """The bits per byte that were reached, and for a fine-tuned model those it began with."""
    after = figure(status.bits_per_byte)
    if status.before_bits_per_byte is None:
        return after
    return f"{figure(status.before_bits_per_byte)} → {after}"
