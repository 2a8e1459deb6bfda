"""The live view of a run on a terminal: loss curve, figures, progress, the newest sample.

Draws what it is told about a run; reads no folder and knows no model.
"""

import sys
from contextlib import ExitStack

from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuillm.cli.braille_chart import Point, draw_chart, smooth
from tuillm.cli.output import safe_console
from tuillm.errors import printable
from tuillm.store.jsonl import MetricsRow, Sample, rewind
from tuillm.store.run_folder import Run
from tuillm.store.run_status import Status
from tuillm.terminal.echo import unechoed
from tuillm.theme import Theme, theme_for
from tuillm.units import count, duration, figure

_CHART_ROWS = 10
_SAMPLE_ROWS = 5
# title, progress, two lines of figures, and the line below the picture
_FIXED_ROWS = 5


class LiveView:
    """Redraws in place, at most four times a second; leaves the last picture standing."""

    def __init__(self, run: Run) -> None:
        self._run, console = run, safe_console()
        self._theme = theme_for(console.color_system)
        self._train: list[Point] = []
        self._val: list[Point] = []
        self._row: MetricsRow = {}
        self._sample, self._message = "", ""
        self._status = Status()
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._keys = ExitStack()  # what is typed, and the ^C of Ctrl-C, stays out of the picture
        if sys.stdin is not None and sys.stdin.isatty():
            self._keys.enter_context(unechoed(sys.stdin.fileno()))
        self._live.start()
        self._drawn: object = None

    def news(self, status: Status, rows: list[MetricsRow], samples: list[Sample]) -> None:
        """Take in what is new, and draw it."""
        self._status = status
        for row in rows:
            if "step" not in row:  # the mark of a resume
                continue
            self._row = row
            losses = (row.get("train_loss"), self._train), (row.get("val_loss"), self._val)
            for loss, points in losses:
                rewind(points, row["step"], lambda point: point[0])
                if loss is not None:
                    points.append((row["step"], loss))
        if samples:
            self._sample = samples[-1].text
        state = (
            len(self._train),
            status.state,
            status.doing,
            status.notes,
            self._message,
            len(self._sample),
        )
        if state != self._drawn:
            self._drawn = state
            self._live.update(self._picture(), refresh=True)

    def say(self, message: str) -> None:
        """Show a message below the picture from now on."""
        self._message = message

    def close(self) -> None:
        """Leave the picture as it is and give the terminal back."""
        self._message = ""
        try:
            self._live.update(self._picture(), refresh=True)
            self._live.stop()
        finally:
            self._keys.close()

    def _picture(self) -> Group:
        """What fits the window: the figures always, then the curve, then the sample."""
        theme, width = self._theme, min(self._live.console.width, 110)
        notes = [Text(f"· {note}", style=theme["muted"]) for note in self._status.notes]
        last = [Text(self._message, style=theme["warning"])] if self._message else []
        below: list[RenderableType] = [self._progress(theme, width), self._figures(theme, width)]
        below += notes
        # a line more than the window has would make the picture climb
        lines = sum(len(text.wrap(self._live.console, width)) for text in notes + last)
        room = self._live.console.height - _FIXED_ROWS - max(lines, 1)
        parts: list[RenderableType] = [self._title(theme)]
        chart_rows = min(_CHART_ROWS, room - 2)
        if chart_rows >= 4:
            parts.append(Text(""))
            parts += self._chart(theme, width, chart_rows), self._legend(theme)
            room -= chart_rows + 2
        parts += below
        if self._sample and room > 1:
            parts.append(self._sample_text(width, min(_SAMPLE_ROWS, room - 1)))
        return Group(*parts, *last)

    def _chart(self, theme: Theme, width: int, rows: int) -> Text:
        half_life = max(len(self._train) // 60, 1)
        series = [
            (smooth(self._train, half_life), theme["secondary"]),
            (self._val, theme["accent"]),
        ]
        return draw_chart(series, width, rows, axis_style=theme["muted"])

    def _title(self, theme: Theme) -> Text:
        status = self._status
        text = Text()
        text.append(f" {self._run.id} ", style=f"bold {theme['background']} on {theme['primary']}")
        text.append(f" {status.state}", style=theme["primary"])
        if status.doing:
            text.append(f"  {status.doing}", style=theme["muted"])
        if status.parameters:
            text.append(
                f"  {count(status.parameters)} parameters  text {count(status.train_tokens)} "
                f"tokens  {status.device} {status.dtype}",
                style=theme["muted"],
            )
        return text

    def _legend(self, theme: Theme) -> Text:
        text = Text("       ")
        held_out = "validation loss" if self._status.val_tokens != 0 else "loss of the whole text"
        text.append("━ train loss  ", style=theme["secondary"])
        text.append(f"╍ {held_out}", style=theme["accent"])
        text.append("  nats per token", style=theme["muted"])
        return text

    def _progress(self, theme: Theme, width: int) -> Table:
        grid = Table.grid(padding=(0, 1))
        done = min(max(0.0, self._status.progress), 1.0)  # a damaged file may say any number
        bar = ProgressBar(
            total=1.0,
            completed=done,
            width=max(width - 24, 10),
            style=theme["surface"],
            complete_style=theme["primary"],
            finished_style=theme["success"],
        )
        left = Text(f"{self._status.progress:>5.0%}", style=theme["primary"])
        right = Text(
            f"{duration(self._status.eta)} left" if self._status.eta else "", style=theme["muted"]
        )
        grid.add_row(left, bar, right)
        return grid

    def _figures(self, theme: Theme, width: int) -> Table:
        row, status = self._row, self._status
        values = [
            ("step", f"{row.get('step', 0):,}"),
            ("loss", figure(row.get("train_loss"))),
            ("val loss" if status.val_tokens != 0 else "loss, whole", figure(status.val_loss)),
            ("bits/byte", figure(status.bits_per_byte)),
            ("tokens/s", count(row.get("tokens_per_sec"))),
            ("epoch", figure(row.get("epoch"), 1)),
            ("elapsed", duration(row.get("elapsed"))),
        ]
        values = values[: max(width // 11, 2)]
        grid = Table.grid(padding=(0, 3))
        grid.add_row(*(Text(name, style=theme["muted"]) for name, _ in values))
        grid.add_row(*(Text(value, style="bold") for _, value in values))
        return grid

    def _sample_text(self, width: int, rows: int) -> Padding:
        lines = [line for line in printable(self._sample).strip().splitlines() if line.strip()]
        text = Text("\n".join(lines), style="italic", overflow="fold")
        wrapped = text.wrap(self._live.console, width - 4)[:rows]
        return Padding(Text("\n").join(wrapped), (1, 2, 0, 2))
