"""The live view of a run on a terminal: loss curve, figures, progress, the newest sample.

Draws what it is told about a run; reads no folder and knows no model.
"""

from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuillm.cli.chart import Point, draw_chart, smooth
from tuillm.cli.output import count, duration, figure
from tuillm.errors import printable
from tuillm.store.runs import Run, Status
from tuillm.theme import Theme, load_theme

_CHART_ROWS = 10
_SAMPLE_ROWS = 5


class LiveView:
    """Redraws in place, at most four times a second; leaves the last picture standing."""

    def __init__(self, run: Run) -> None:
        self._run, self._theme = run, load_theme()
        self._train: list[Point] = []
        self._val: list[Point] = []
        self._row: dict[str, Any] = {}
        self._sample, self._message = "", ""
        self._status = Status()
        self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=False)
        self._live.start()
        self._drawn: object = None

    def news(self, status: Status, rows: list[dict[str, Any]], samples: list[str]) -> None:
        """Take in what is new, and draw it."""
        self._status = status
        for row in rows:
            self._row = row
            self._train.append((row["step"], row["train_loss"]))
            if "val_loss" in row:
                self._val.append((row["step"], row["val_loss"]))
        if samples:
            self._sample = samples[-1]
        state = (len(self._train), status.state, status.notes, self._message, len(self._sample))
        if state != self._drawn:
            self._drawn = state
            self._live.update(self._picture(), refresh=True)

    def say(self, message: str) -> None:
        """Show a message below the picture from now on."""
        self._message = message

    def close(self) -> None:
        """Leave the picture as it is and give the terminal back."""
        self._message = ""
        self._live.update(self._picture(), refresh=True)
        self._live.stop()

    def _picture(self) -> Group:
        theme, width = self._theme, min(self._live.console.width, 110)
        half_life = max(len(self._train) // 60, 1)
        series = [(smooth(self._train, half_life), theme["secondary"]),
                  (self._val, theme["accent"])]
        parts: list[Any] = [
            self._title(theme),
            Text(""),
            draw_chart(series, width, _CHART_ROWS, axis_style=theme["muted"]),
            self._legend(theme),
            self._progress(theme, width),
            self._figures(theme),
        ]
        parts += [Text(f"· {note}", style=theme["muted"]) for note in self._status.notes]
        if self._sample:
            parts.append(self._sample_text(theme, width))
        if self._message:
            parts.append(Text(self._message, style=theme["warning"]))
        return Group(*parts)

    def _title(self, theme: Theme) -> Text:
        status = self._status
        text = Text()
        text.append(f" {self._run.id} ", style=f"bold {theme['background']} on {theme['primary']}")
        text.append(f" {status.state}", style=theme["primary"])
        if status.parameters:
            text.append(
                f"  {count(status.parameters)} parameters  {count(status.train_tokens)} tokens  "
                f"{status.device} {status.dtype}", style=theme["muted"],
            )
        return text

    def _legend(self, theme: Theme) -> Text:
        text = Text("       ")
        text.append("━ train loss  ", style=theme["secondary"])
        text.append("━ held-out loss", style=theme["accent"])
        text.append("  nats per token", style=theme["muted"])
        return text

    def _progress(self, theme: Theme, width: int) -> Table:
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=self._status.progress, width=max(width - 24, 10),
                          style=theme["surface"], complete_style=theme["primary"],
                          finished_style=theme["success"])
        left = Text(f"{self._status.progress:>5.0%}", style=theme["primary"])
        right = Text(f"{duration(self._status.eta)} left" if self._status.eta else "",
                     style=theme["muted"])
        grid.add_row(left, bar, right)
        return grid

    def _figures(self, theme: Theme) -> Table:
        row, status = self._row, self._status
        values = [
            ("step", f"{row.get('step', 0):,}"),
            ("loss", figure(row.get("train_loss"))),
            ("held-out", figure(status.val_loss)),
            ("bits/byte", figure(status.bits_per_byte)),
            ("tokens/s", count(row.get("tokens_per_sec"))),
            ("epoch", figure(row.get("epoch"), 1)),
            ("elapsed", duration(row.get("elapsed"))),
        ]
        grid = Table.grid(padding=(0, 3))
        grid.add_row(*(Text(name, style=theme["muted"]) for name, _ in values))
        grid.add_row(*(Text(value, style=f"bold {theme['foreground']}") for _, value in values))
        return grid

    def _sample_text(self, theme: Theme, width: int) -> Padding:
        lines = [line for line in printable(self._sample).strip().splitlines() if line.strip()]
        text = Text("\n".join(lines), style=f"italic {theme['foreground']}", overflow="fold")
        wrapped = text.wrap(self._live.console, width - 4)[:_SAMPLE_ROWS]
        return Padding(Text("\n").join(wrapped), (1, 2, 0, 2))
