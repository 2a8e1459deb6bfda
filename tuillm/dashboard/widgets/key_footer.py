"""The line of keys at the bottom, which is drawn anew only when its keys are others.

Textual's own does so at every refresh of the bindings, and lays out the whole screen for it.
"""

from textual.screen import Screen
from textual.widgets import Footer


class KeyFooter(Footer):
    """A Footer that compares the keys with those it shows."""

    _keys: tuple[tuple[object, ...], ...] | None = None

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Show the keys of the screen, if any of them has changed."""
        if not screen.app.app_focus or not self.is_attached or screen is not self.screen:
            return super().bindings_changed(screen)
        keys = tuple(
            (found.binding, found.enabled, found.tooltip)
            for found in screen.active_bindings.values()
            if found.binding.show
        )
        if keys != self._keys:
            self._keys = keys
            super().bindings_changed(screen)
