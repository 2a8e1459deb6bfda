"""What is shown of what a model thinks: one line that counts, or all of it, quietly.

Knows replies as they come and where they are drawn.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuillm.chat.conversation.thoughts import ThoughtStream
from tuillm.chat.terminal.reply_stream import ReplyStream
from tuillm.units import several

if TYPE_CHECKING:
    from tuillm.generation import Token


class ReplyThoughts:
    """Takes a reply apart while it streams; `shown` says whether thoughts are written out.

    `inside` tells of the token at an index whether it is thought, where the chat template, or the
    text before, has opened a thought.
    """

    def __init__(self, shown: bool, inside: Callable[[int], bool]) -> None:
        self._shown, self._inside = shown, inside
        self._parts = ThoughtStream()
        self._count = 0
        self._taken = self._named = self._begun = False

    def take(self, token: "Token", stream: ReplyStream) -> str:
        """Show what a token adds to a thought, and return what it adds to what is said."""
        if not self._taken:
            self._taken, self._parts = True, ThoughtStream(self._inside(token.index))
        was_inside = self._parts.inside
        thought, said = self._parts.feed(token.text)
        if was_inside or self._parts.inside or thought:
            self._count += 1
            self._think(thought, stream)
            if not self._parts.inside:
                self._close(stream, f"thought for {several(self._count, 'token')}")
        return said

    def end(self, stream: ReplyStream) -> str:
        """Show that a reply ended within a thought; return what of it was held back."""
        inside = self._parts.inside
        thought, said = self._parts.finish()
        if inside and self._count:
            self._think(thought, stream)
            tokens = several(self._count, "token")
            self._close(stream, f"ended within a thought of {tokens}: Enter goes on")
        return said

    def _think(self, thought: str, stream: ReplyStream) -> None:
        if not self._shown:
            stream.note(f"thinking … {several(self._count, 'token')}", last=False)
            return
        if not self._named:
            self._named = True
            stream.note("thinking:")
        thought = thought if self._begun else thought.lstrip()
        self._begun = self._begun or bool(thought)
        stream.use_pen(quiet=True)
        stream.write(thought)

    def _close(self, stream: ReplyStream, what: str) -> None:
        hint = "" if self._shown else "; /think shows it"
        stream.note(what + hint)
        stream.use_pen(quiet=False)
