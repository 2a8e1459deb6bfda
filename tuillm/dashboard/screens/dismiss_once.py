"""Screens that go away once: what is dismissed a second time takes no other screen with it.

Two Enters may come before a dialog has gone. Textual takes away whatever screen is then on top; and
it mounts a screen that has gone already, without its parts.
"""

from typing import TYPE_CHECKING, Any

from textual import events
from textual.await_complete import AwaitComplete

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[Any]
else:
    Base = object


class DismissOnce(Base):
    """Stands before Screen or ModalScreen among the bases of a screen."""

    async def on_event(self, event: events.Event) -> None:
        """Let a screen that has gone before it was mounted begin nothing: it has no parts."""
        if not (isinstance(event, events.Mount) and (self._pruning or not self.is_attached)):
            await super().on_event(event)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Go away with a result, unless this is not the screen on top any more."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
