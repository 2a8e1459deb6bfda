"""Keeps what is typed while the form of a run is being opened, for its first field.

Knows the keys that lead to the form; knows nothing of its fields. Textual hands a key to the
screen that is there when it comes, also where the key before it is about to open another one.
"""

from textual import events
from textual.app import App
from textual.timer import Timer

# seconds after which the keys go on, whether or not the form has come
_PATIENCE = 1.0


class TypedAhead:
    """Holds keys and pastes from the key that opens the form until `release`."""

    def __init__(self, app: App[None], action: str) -> None:
        """`action` is that of the binding from whose key on they are held."""
        self._app, self._action = app, action
        self._held: list[events.Event] | None = None
        self._timer: Timer | None = None

    def keeps(self, event: events.Event) -> bool:
        """Whether an event is held, instead of being handled now."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            return False
        if self._held is not None:
            self._held.append(event)
            return True
        if isinstance(event, events.Key) and self._opens(event.key):
            self.hold()
        return False

    def hold(self) -> None:
        """Hold what is typed from now on."""
        if self._held is None:
            self._held = []
            self._timer = self._app.set_timer(_PATIENCE, self.release)

    def release(self) -> None:
        """Let what was held be handled, in its order."""
        held, self._held = self._held or [], None
        if self._timer:
            self._timer.stop()
        for event in held:
            self._app.post_message(event)

    def _opens(self, key: str) -> bool:
        found = self._app.screen.active_bindings.get(key)
        return bool(found and found.enabled and found.binding.action == self._action)
