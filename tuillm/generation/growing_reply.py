"""One reply while it grows: the tokens that it yields, its text, and its generator.

Knows ids, text and numbers; knows no model.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tuillm.generation.context_window import Keep
from tuillm.generation.detokenizer import TextStream
from tuillm.generation.token_healing import Reading
from tuillm.text import Tokenizer


@dataclass(frozen=True)
class Token:
    """One step of a reply.

    `text` is what may be shown now; it can be empty while a character or a possible stop
    string is incomplete. `logprob` is the model's own log probability (nats) of the id, before
    temperature and cuts. `dropped` ids fell out of the context before this one. The last token
    of a reply has a `finish`: a stop string, the length, or the model's end-of-text token.
    """

    text: str
    id: int
    logprob: float
    index: int
    row: int = 0
    dropped: int = 0
    finish: Literal["", "stop", "length", "end"] = ""


@dataclass(frozen=True)
class ReplyState:
    """How a reply goes on that was begun before, or begins with a given token; see `go_on`.

    `text` has been fed the tokens there are: `index` of them, for which `seed` gave `drawn`
    numbers. `n_keep` is as in `slide`. `reading`, if not None, is what is read before the next
    token, whose id it may give; `logits` [1, V] are those behind it, where the context has just
    read it.
    """

    text: TextStream
    seed: int
    n_keep: Keep = 0
    index: int = 0
    drawn: int = 0
    reading: Reading | None = None
    logits: Tensor | None = None


class GrowingReply:
    """The state of one reply while it grows."""

    def __init__(self, tokenizer: Tokenizer, beginning: ReplyState) -> None:
        self._text = beginning.text
        self._index = beginning.index
        self._ends = tokenizer.ends
        self.generator = torch.Generator().manual_seed(beginning.seed)
        skip([self.generator], beginning.drawn)
        self.finished = False

    def step(
        self,
        token: int,
        logprob: float,
        row: int,
        dropped: int,
        as_bytes: bytes | None,
        longest: int,
    ) -> Token:
        """Return the next Token; `as_bytes` are its bytes where not all of them are new."""
        finish: Literal["", "stop", "length", "end"] = ""
        text = self._text.push(token) if as_bytes is None else self._text.push_bytes(as_bytes)
        index, self._index = self._index, self._index + 1
        if self._text.stopped:
            finish = "stop"
        elif token in self._ends or self._index >= longest:
            finish = "end" if token in self._ends else "length"
            text += self._text.finish()
            finish = "stop" if self._text.stopped else finish
        self.finished = bool(finish)
        return Token(text, token, logprob, index, row, dropped, finish)


def skip(generators: list[torch.Generator], count: int) -> None:
    """Use up the numbers of `count` draws a row."""
    for generator in generators:
        torch.rand(count, generator=generator, dtype=torch.float64)
