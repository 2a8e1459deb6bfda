"""Batches of windows over a token array: shuffled, without replacement, resumable.

Each epoch cuts the tokens into windows of T + 1 and visits all of them once. The cut is another
one each time, but every document's beginning stands at the beginning of a window, as it does when
one asks for it, and what stands at the end is reached. Everything follows from the seed, so two
numbers are the whole state.
"""

import numpy as np
import torch
from torch import Tensor

from tuillm.model.chunked_loss import IGNORED
from tuillm.training.token_dropout import TokenDropout

_LOOKED_AT = 1 << 24


def positions_of(tokens: np.ndarray, id: int | None) -> np.ndarray:
    """Return the positions of an id in a long array, some of which is looked at at once."""
    if id is None:
        return np.empty(0, np.int64)
    parts = [
        np.flatnonzero(tokens[at : at + _LOOKED_AT] == id) + at
        for at in range(0, len(tokens), _LOOKED_AT)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


class Batches:
    """Endless batches (idx [B, T], targets [B, T]) of int64 ids."""

    def __init__(
        self,
        tokens: np.ndarray,
        block_size: int,
        batch_size: int,
        seed: int,
        eot: int | None = None,
        mask: np.ndarray | None = None,
        token_dropout: TokenDropout | None = None,
    ) -> None:
        """`tokens` is 1-D with more than block_size entries; behind each `eot` a document begins.

        Where the tokens begin and end with it, the first document follows the last one. `mask`
        tells which tokens are to be predicted; the targets of the others are IGNORED.
        `token_dropout` changes what is read, not what is predicted.
        """
        self._tokens, self._mask, self._token_dropout = tokens, mask, token_dropout
        self._batch_size = batch_size
        self._block_size = block_size
        self._span = np.arange(block_size + 1)
        self._seed = seed
        ends = positions_of(tokens, eot)
        self._round = len(ends) > 1 and ends[0] == 0 and ends[-1] == len(tokens) - 1
        # one end of text is enough where the last document meets the first
        self._length = len(tokens) - 1 if self._round else len(tokens)
        self._ends = ends[ends < self._length]
        self.epoch, self.position = 0, 0
        self._starts = self._epoch_starts()

    def next(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the next batch; at the end of an epoch it goes on into the next one."""
        begun = (self.epoch, self.position)
        taken = [self._take(self._batch_size)]
        while (missing := self._batch_size - sum(map(len, taken))) > 0:
            self.seek(self.epoch + 1, 0)
            taken.append(self._take(missing))
        positions = np.concatenate(taken)[:, None] + self._span
        windows = self._tokens[positions % self._length].astype(np.int64)
        idx, targets = windows[:, :-1], windows[:, 1:]
        if self._mask is not None:
            targets = np.where(self._mask[positions[:, 1:] % self._length], targets, IGNORED)
        if self._token_dropout is not None:
            idx = self._token_dropout.applied(idx, (self._seed, *begun, 1))
        return torch.from_numpy(idx).to(device), torch.from_numpy(targets).to(device)

    def seek(self, epoch: int, position: int) -> None:
        """Go to where an earlier `epoch` and `position` stood."""
        same = epoch == self.epoch
        self.epoch, self.position = epoch, position
        if not same:
            self._starts = self._epoch_starts()

    def _take(self, count: int) -> np.ndarray:
        taken = self._starts[self.position : self.position + count]
        self.position += len(taken)
        return taken

    def _epoch_starts(self) -> np.ndarray:
        """Where the windows of this epoch begin, shuffled.

        A document is begun twice, behind its end of text and with its own first token: so replies
        begin to an empty prompt and to its first words. From there windows lie side by side at an
        offset of this epoch's.
        """
        rng = np.random.default_rng((self._seed, self.epoch))
        T = self._block_size
        first = np.union1d(self._ends + 1, [] if 0 in self._ends else [0]).astype(np.int64)
        first = first[first < self._length]
        beyond = np.append(first[1:] - 1, self._length)
        grid = first + rng.integers(1, T + 1, len(first))
        counts = np.maximum(-(-(beyond - grid) // T), 0)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        side_by_side = np.repeat(grid, counts) + (np.arange(counts.sum()) - before) * T
        starts = np.concatenate([self._ends, first, side_by_side])
        if not self._round:  # nothing follows the end: the last windows reach up to it
            last = self._length - 1 - T
            starts = np.append(starts[starts < last], last)
        rng.shuffle(starts)
        return starts
