"""Batches of windows over a token array: shuffled, without replacement, resumable.

Each epoch cuts the tokens into windows of T + 1 from its own random offset and visits all of
them once. Everything follows from the seed, so two numbers are the whole state.
"""

import numpy as np
import torch
from torch import Tensor


class Batches:
    """Endless batches (idx [B, T], targets [B, T]) of int64 ids."""

    def __init__(self, tokens: np.ndarray, block_size: int, batch_size: int, seed: int) -> None:
        """`tokens` is 1-D with more than block_size entries."""
        self._tokens = tokens
        self._batch_size = batch_size
        self._block_size = block_size
        self._span = np.arange(block_size + 1)
        self._seed = seed
        self.epoch, self.position = 0, 0
        self._starts = self._epoch_starts()

    def next(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the next batch; at the end of an epoch it goes on into the next one."""
        taken = [self._take(self._batch_size)]
        while (missing := self._batch_size - sum(map(len, taken))) > 0:
            self.seek(self.epoch + 1, 0)
            taken.append(self._take(missing))
        windows = self._tokens[np.concatenate(taken)[:, None] + self._span]
        batch = torch.from_numpy(windows.astype(np.int64)).to(device)
        return batch[:, :-1], batch[:, 1:]

    def seek(self, epoch: int, position: int) -> None:
        """Go to where an earlier `epoch` and `position` stood."""
        self.epoch, self.position = epoch, position
        self._starts = self._epoch_starts()

    def _take(self, count: int) -> np.ndarray:
        taken = self._starts[self.position : self.position + count]
        self.position += len(taken)
        return taken

    def _epoch_starts(self) -> np.ndarray:
        rng = np.random.default_rng((self._seed, self.epoch))
        T, N = self._block_size, len(self._tokens)
        offset = int(rng.integers(min(T, N - T)))
        starts = np.arange(offset, N - T, T)
        rng.shuffle(starts)
        return starts
