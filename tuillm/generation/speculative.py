"""Speculative decoding (Leviathan et al. 2023): several tokens are computed in one step.

A draft says which ids may come; the model computes them all at once; each is drawn as it always
is, and the first that is drawn differently ends the draft. So the ids are those of plain decoding,
with the same numbers of the same generators, whatever a draft says. Knows a Context and what
drafts; draws nothing and knows no text.
"""

import time
from dataclasses import dataclass
from itertools import cycle, islice, takewhile

import torch
from torch import Tensor

from tuillm.config import SamplingConfig
from tuillm.generation.context import Context
from tuillm.generation.context_window import Keep
from tuillm.generation.draft_length import SIZES, DraftLength
from tuillm.generation.draft_tokens import Drafter

# ids without an accepted draft after which drafts are looked for less, and how often then
_PATIENCE, _SELDOM = 32, 4


@dataclass
class _Draft:
    """A draft: which drafter it is of, how long its match, its ids, and what became of it."""

    kind: int
    match: int
    ids: list[int]
    size: int = 0  # ids that were computed
    right: int = 0
    seconds: float = 0.0


class Speculation:
    """Goes on with a Context's only row, with drafts where they pay.

    `drafted` and `accepted` count the tokens of drafts and those that were accepted. `exact` says
    that several positions at once are computed as precisely as one by one; in fewer bits than
    float32 that is tried out before drafts are made where the same text is promised.
    """

    def __init__(self, context: Context, drafters: list[Drafter], *, exact: bool) -> None:
        self._context = context
        self.drafters = drafters
        self._length = DraftLength()
        self._exact: bool | None = exact or None
        self.drafted = self.accepted = 0
        self.begin()

    @property
    def words(self) -> str:
        """How many tokens were drafted and accepted, in words."""
        return f"{self.accepted:,} of {self.drafted:,} drafted tokens accepted"

    def begin(self) -> None:
        """Expect another reply, or one that others than `advance` have gone on with."""
        self._draft: _Draft | None = None
        self._observing = False
        self._unpredicted = 0  # ids in a row that no draft has predicted

    def advance(self, token: int, n_keep: Keep, config: SamplingConfig) -> tuple[Tensor, int]:
        """Append an id as `Context.advance` does, and return the same."""
        context = self._context
        if config.lookup == "off":
            self.begin()
            return context.advance([token], n_keep)
        self._observe(token)
        if context.expects([token]):
            self.accepted += 1
            self._unpredicted = 0
            if self._draft is not None:
                self._draft.right += 1
            return context.advance([token], n_keep)
        self._settle()
        allowed = self._may_draft(config)
        if not self._length.ready or allowed is False or context.length + 1 >= context.block_size:
            return self._step(token, n_keep, None)
        draft = self._choose() if self._is_worth_a_look() else None
        if draft is not None and allowed is None:
            if context.length + SIZES[-1] <= context.block_size:
                return self._try_out(token, draft.ids)
            draft = None
        return self._step(token, n_keep, draft)

    def _observe(self, token: int) -> None:
        if not self._observing:
            self._observing = True
            for drafter in self.drafters:
                drafter.begin(self._context.rows[0])
        for drafter in self.drafters:
            drafter.push(token)

    def _is_worth_a_look(self) -> bool:
        """Whether to look for a draft: in text that none predicts, at every fourth id.

        A look takes a hundredth of a step of a small model.
        """
        self._unpredicted += 1
        return self._unpredicted < _PATIENCE or self._unpredicted % _SELDOM == 0

    def _choose(self) -> _Draft | None:
        """Return the draft with the largest expected gain, None where none pays."""
        best, size, most = None, 1, 0.0
        for kind, drafter in enumerate(self.drafters):
            if match := drafter.match():
                found, gain = self._length.choose(kind, match, drafter.seconds)
                if found > 1 and gain > most:
                    best, size, most = _Draft(kind, match, []), found, gain
        if best is None:
            return None
        entries = self._context.vocab_size
        ids = self.drafters[best.kind].take(size - 1)
        best.ids = list(takewhile(lambda token: token < entries, ids))
        return best if best.ids else None

    def _step(self, token: int, n_keep: Keep, draft: _Draft | None) -> tuple[Tensor, int]:
        """Compute an id and its draft, and note how long that took."""
        context = self._context
        full = context.length == context.block_size
        begun = time.perf_counter()
        logits, dropped = context.advance([token], n_keep, draft.ids if draft else ())
        if logits.device.type != "cpu":
            logits[0, 0].item()  # waits until it is computed
        seconds = time.perf_counter() - begun
        size = context.ahead
        if draft is not None and size:
            draft.size = size
            draft.seconds = seconds + size * self.drafters[draft.kind].seconds
            self._draft = draft
            self.drafted += size
            self._length.verified(1 + size, seconds)
        elif not full:  # else all of the context was computed again
            self._length.plain(seconds)
        return logits, dropped

    def _settle(self) -> None:
        """Note what came of the latest draft."""
        draft, self._draft = self._draft, None
        if draft is not None:
            self._length.settled(draft.kind, draft.match, draft.size, draft.right, draft.seconds)

    def _may_draft(self, config: SamplingConfig) -> bool | None:
        """Whether the text that is promised stays the same with drafts; None: not known yet."""
        promised = config.greedy or config.seed is not None
        return self._exact if promised and config.lookup != "on" else True

    def _try_out(self, token: int, ids: list[int]) -> tuple[Tensor, int]:
        """Append an id, and find out if positions at once have the logits of one by one.

        The longest step is tried: what is rounded together may be more than two neighbours.
        """
        context, length = self._context, self._context.length
        guess = list(islice(cycle(ids), SIZES[-1] - 1))
        try:
            at_once = [context.advance([token], draft=guess)[0]]
            at_once += [context.advance([each])[0] for each in guess]
            context.truncate(length)
            first, _ = context.advance([token])
            self._exact = torch.equal(at_once[0], first)
            for each, logits in zip(guess, at_once[1:], strict=True):
                self._exact = self._exact and torch.equal(logits, context.advance([each])[0])
                if not self._exact:
                    break
            return first, 0
        finally:  # also when it is interrupted
            context.truncate(length + 1)
