"""How far the reading of a long prompt is, in words that are worth saying. Knows no screen."""

import time

# seconds from which on a person wonders
_LONG = 0.8


class ReadingProgress:
    """Makes words of what a sampler tells of its reading: ids read, and of how many."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done = 0

    def words(self, done: int, total: int) -> str:
        """Return how far it is, or "" while it has not taken long."""
        now = time.monotonic()
        if done <= self._done:  # another text
            self._began = now
        self._done = done
        if now - self._began < _LONG:
            return ""
        return f"reading {total:,} tokens … {done / total:.0%}"
