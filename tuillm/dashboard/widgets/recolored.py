"""Widgets whose text holds colours of the theme: they draw themselves again in another one.

Knows when the theme has changed; what is drawn is its subclass's.
"""

from textual.widget import Widget


class Recolored(Widget):
    """Mixed into a widget that draws with `app.theme_variables`."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._recolor)

    def redraw(self) -> None:
        """Draw what is shown once more, in the colours of now."""
        raise NotImplementedError

    def _recolor(self, _: object) -> None:
        self.redraw()
