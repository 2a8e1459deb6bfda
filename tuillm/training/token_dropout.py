"""Token dropout: some of the tokens a model reads in training are replaced by random ones.

The tokens to be predicted stay, so that a text can be read more often before it is known by heart.
Measured on tinyshakespeare it does more than dropout of activations, and costs nothing. A relative
of unigram noising (Xie et al. 2017, arXiv:1703.02573), whose replacements, drawn from the text, did
less than uniform ones. Knows arrays of ids; no batches.
"""

from collections.abc import Collection

import numpy as np


class TokenDropout:
    """Replaces `share` of the ids, 0 to 1, by others of a vocabulary of `vocab_size` entries.

    The ids `kept`, such as the end of text, are neither replaced nor put in.
    """

    def __init__(self, share: float, vocab_size: int, kept: Collection[int] = ()) -> None:
        self._share, self._vocab_size = share, vocab_size
        self._kept = np.array(sorted(kept), np.int64)

    def applied(self, ids: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
        """Return int64 ids of the same shape; the same ones for the same seed."""
        if not self._share:
            return ids
        rng = np.random.default_rng(seed)
        replaced = rng.random(ids.shape) < self._share
        others = rng.integers(0, self._vocab_size, ids.shape)
        if len(self._kept):
            replaced &= ~(np.isin(ids, self._kept) | np.isin(others, self._kept))
        return np.where(replaced, others, ids)
