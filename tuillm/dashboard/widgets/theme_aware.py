"""Widgets whose text holds colours of the theme: they draw themselves again in another one.

Knows when the theme has changed; what is drawn is its subclass's.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.widget import Widget as Base
else:
    # Textual takes default styles from a widget's first base that is one: this must not be it
    Base = object


class ThemeAware(Base):
    """Mixed into a widget, before its other bases, that draws with `app.theme_variables`."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._recolor)

    def redraw(self) -> None:
        """Draw what is shown once more, in the colours of now."""
        raise NotImplementedError

    def _recolor(self, _: object) -> None:
        self.redraw()
