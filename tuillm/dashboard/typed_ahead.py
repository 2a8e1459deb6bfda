"""Keeps what is typed while the form of a run, or a chat, is being opened.

It is for the form's first field; what was typed for a chat is thrown away when that has ended.
Knows the keys that lead there; knows nothing of fields. Textual hands a key to the screen that is
there when it comes, also where the key before it is about to open another one.
"""

from textual import events
from textual.app import App
from textual.timer import Timer

# seconds after which the keys go on, whether or not the form has come
_PATIENCE = 1.0


class TypedAhead:
    """Holds keys and pastes from the key that opens something until `release` or `drop`."""

    def __init__(self, app: App[None], *actions: str) -> None:
        """`actions` are those of the bindings from whose keys on they are held.

        So is what follows Enter in a table whose rows open a chat (`ROWS_OPEN_CHATS`).
        """
        self._app, self._actions = app, actions
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

    def drop(self) -> None:
        """Throw away what was held."""
        self._held = None
        self.release()

    def release(self) -> None:
        """Let what was held be handled, in its order."""
        held, self._held = self._held or [], None
        if self._timer:
            self._timer.stop()
        for event in held:
            self._app.post_message(event)

    def _opens(self, key: str) -> bool:
        screen = self._app.screen
        found = screen.active_bindings.get(key)
        if not found or not found.enabled:
            return False
        chooses = found.binding.action == "choose" and getattr(screen, "ROWS_OPEN_CHATS", False)
        return chooses or found.binding.action in self._actions
