"""A plot with a cursor that stands on a value, moved by keys and by clicks.

Knows where values are and what is in sight; draws nothing, and says nothing of what they mean.
"""

from typing import Any

from textual import events
from textual.geometry import Offset
from textual_plot import PlotWidget

from tuillm import plotting


class CursorPlot(PlotWidget):
    """What has a cursor: `cursor` is the x where it stands, or None."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.cursor: float | None = None
        self._pressed: Offset | None = None

    def _cursor_values(self) -> plotting.Array:
        """Where the cursor can stand, ascending."""
        raise NotImplementedError

    def _inspect(self, x: float | None) -> None:
        """Put the cursor at `x`, or away."""
        raise NotImplementedError

    def action_move(self, columns: int) -> None:
        """Move the cursor by columns, at least to the next value; first it comes to the newest."""
        x = self._cursor_values()
        if not len(x):
            return
        if self.cursor is None:
            seen = x[x <= self._x_max]
            return self._inspect(float(seen[-1] if len(seen) else x[0]))
        now = plotting.nearest(x, self.cursor)
        step = (self._x_max - self._x_min) / max(self._scale_rectangle.width, 1)
        then = plotting.nearest(x, self.cursor + columns * step)
        if then == now:
            then = min(max(now + (1 if columns > 0 else -1), 0), len(x) - 1)
        self._inspect(float(x[then]))

    def action_move_to(self, index: int) -> None:
        """Move the cursor to the first or the newest value."""
        x = self._cursor_values()
        if len(x):
            self._inspect(float(x[index]))

    def action_put_away(self) -> None:
        """Put the cursor away."""
        self._inspect(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a cursor, escape is for the screen."""
        return self.cursor is not None if action == "put_away" else True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Remember where, so that the end of a drag is no click."""
        self._pressed = event.screen_offset

    def on_click(self, event: events.Click) -> None:
        """Set the cursor to the value nearest to the click."""
        x = self._cursor_values()
        widget = event.widget
        if widget is None or widget.id != "plot" or event.screen_offset != self._pressed:
            return
        if len(x):
            area = self._scale_rectangle
            share = (2 * (event.x - area.x) + 0.5) / max(2 * area.width - 1, 1)
            clicked = self._x_min + share * (self._x_max - self._x_min)
            self._inspect(float(x[plotting.nearest(x, clicked)]))

    def _zoom_center(self) -> float:
        """The cursor when it is in sight, else the right end."""
        seen = self.cursor is not None and self._x_min <= self.cursor <= self._x_max
        return self.cursor if seen and self.cursor is not None else self._x_max
