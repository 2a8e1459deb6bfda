"""Tokens to text as they come: whole characters only, and never a part of a stop string.

Knows bytes and strings; knows no model.
"""

from tuillm.text import Tokenizer


class TextStream:
    """Turns the ids of one reply into pieces of text that may be shown at once.

    Characters split over tokens wait until they are whole; text that could be the beginning
    of a stop string waits until it cannot.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._decoder = tokenizer.text_decoder()
        self._stop = stop
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Return the text that can be shown after one more id; sets `stopped` at a stop string."""
        return self.push_bytes(self._tokenizer.token_bytes(token))

    def push_bytes(self, as_bytes: bytes) -> str:
        """Return the text that can be shown after some more bytes, as `push` does."""
        return self._release(self._decoder.decode(as_bytes))

    def finish(self) -> str:
        """Return what was held back, when the reply ends without a stop string."""
        if self.stopped:
            return ""
        text = self._release(self._decoder.decode(b"", True))
        rest, self._held = self._held, ""
        return text if self.stopped else text + rest

    def _release(self, text: str) -> str:
        self._held += text
        found = [(self._held.find(stop), len(stop)) for stop in self._stop]
        # the first to be complete counts, wherever the tokens happen to be cut
        ends = [(start + length, start) for start, length in found if start >= 0]
        if ends:
            self.stopped = True
            shown, self._held = self._held[: min(ends)[1]], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
