"""A conversation with a base model: one growing text that person and model continue in turn.

Knows ids and tokens; knows no terminal. The list of ids is the truth, `window` is the part of
it that the model sees.
"""

from collections.abc import Iterator

from tuillm.config import SamplingConfig, build_sampling
from tuillm.generation import Sampler, Token


class Session:
    """The text so far, and the way the model goes on with it."""

    def __init__(self, sampler: Sampler, config: SamplingConfig) -> None:
        self.sampler = sampler
        self.config = config
        self.clear()

    def clear(self) -> None:
        """Forget the text."""
        self.ids: list[int] = []
        self.window: list[int] = []
        self._before: tuple[int, list[int]] | None = None
        self._retries = 0

    def say(self, text: str) -> None:
        """Append what the person typed; after a reply it begins a line of its own."""
        if not text:
            return
        tokenizer = self.sampler.tokenizer
        if self.ids and not tokenizer.token_bytes(self.ids[-1]).endswith(b"\n"):
            text = "\n" + text
        added = tokenizer.encode(text)
        self.ids += added
        self.window += added

    def reply(self) -> Iterator[Token]:
        """Yield the model's tokens; may be closed at any of them, and what was yielded stays."""
        self._before = (len(self.ids), list(self.window))
        self._retries = 0
        return self._stream()

    def regenerate(self) -> Iterator[Token] | None:
        """Take the last reply back and yield another one; None when there is none.

        With a fixed seed each retry has the next seed, else it would be the same reply.
        """
        if self._before is None:
            return None
        length, window = self._before
        self.ids, self.window = self.ids[:length], list(window)
        self._retries += 1
        return self._stream()

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self.sampler.tokenizer.decode(self.ids)

    @property
    def used(self) -> tuple[int, int]:
        """How many positions of the context are taken, and how many there are."""
        size = self.sampler.context.block_size
        return min(len(self.window), size), size

    def _stream(self) -> Iterator[Token]:
        config = self.config
        if config.seed is not None and self._retries:
            config = build_sampling({"seed": config.seed + self._retries}, config)
        newest: Token | None = None
        tokens = self.sampler.stream(self.window, config)
        try:
            for newest in tokens:
                self.ids.append(newest.id)
                yield newest
        finally:
            if newest is not None:
                # the context has read everything but the newest token
                self.window = [*self.sampler.context.rows[0], newest.id]
