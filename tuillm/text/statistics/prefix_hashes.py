"""Hashes of any passage of a text, in the same few steps however long it is.

A passage's hash is a polynomial of its characters modulo 2^64 (Karp and Rabin 1987), taken from
sums over all that stands before: equal passages have equal hashes, and equal hashes nearly always
mean equal passages. Knows arrays of numbers; does not know what they stand for.
"""

from collections.abc import Iterator

import numpy as np

# prefix sums are kept for every 16th position, the rest is added up anew
_STEP_BITS = 4
_CHUNK = 1 << 14
_LOW_BITS = 12
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_WRAP = 1 << 64


class PrefixHashes:
    """Hashes of passages of `ids`; a `separator` in them is like no other, itself included.

    `ids` may be longer than the text by some padding, which is hashed like the rest.
    """

    def __init__(self, ids: np.ndarray, separator: int) -> None:
        self.ids, self._separator = ids, separator
        random = np.random.default_rng(1987)
        self._codes = random.integers(1, _WRAP, max(int(ids.max()), separator) + 1, np.uint64)
        self._up, self._down = _powers(_BASE, _CHUNK), _powers(_INVERSE, _CHUNK)
        rows = (len(ids) >> _LOW_BITS) + 1
        self._up_rows = _powers(pow(_BASE, 1 << _LOW_BITS, _WRAP), rows)
        self._down_rows = _powers(pow(_INVERSE, 1 << _LOW_BITS, _WRAP), rows)
        self._sums = self._every_sum()

    def dense(self, length: int, begin: int, end: int) -> np.ndarray:
        """Return the hashes of the passages of `length` that begin in `begin:end`, one after one.

        `length` and the range together must fit in a chunk.
        """
        codes = self._codes_at(slice(begin, end - 1 + length))
        sums = np.empty(len(codes) + 1, np.uint64)
        sums[0] = 0
        np.cumsum(codes * self._up[: len(codes)], out=sums[1:])
        return (sums[length:] - sums[:-length]) * self._down[: end - begin]

    def chunks(self, count: int, margin: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of `count` positions such that each fits a chunk with `margin` besides."""
        size = _CHUNK - margin
        for begin in range(0, count, size):
            yield begin, min(begin + size, count)

    def at(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Return the hashes of the passages of `length` that begin at each of `starts`."""
        return (self.sums(starts + length) - self.sums(starts)) * self.down(starts)

    def sums(self, positions: np.ndarray) -> np.ndarray:
        """Return the sums over all that stands before each of `positions`."""
        result = self._sums[positions >> _STEP_BITS]
        first, over = positions & -(1 << _STEP_BITS), positions & ((1 << _STEP_BITS) - 1)
        for offset in range(int(over.max(initial=0))):
            rows = np.flatnonzero(over > offset)
            result[rows] += self.term(first[rows] + offset)
        return result

    def term(self, positions: np.ndarray) -> np.ndarray:
        """Return what each single position adds to the sums behind it."""
        powers = (
            self._up_rows[positions >> _LOW_BITS] * self._up[positions & ((1 << _LOW_BITS) - 1)]
        )
        return self._codes_at(positions) * powers

    def down(self, positions: np.ndarray) -> np.ndarray:
        """Return by what a difference of sums is multiplied to be the same wherever it stands."""
        rows, low = positions >> _LOW_BITS, positions & ((1 << _LOW_BITS) - 1)
        return self._down_rows[rows] * self._down[low]

    def _codes_at(self, positions: np.ndarray | slice) -> np.ndarray:
        ids = self.ids[positions]
        codes = self._codes[ids]
        if self._separator and len(own := np.flatnonzero(ids == self._separator)):
            where = own + positions.start if isinstance(positions, slice) else positions[own]
            mixed = (where.astype(np.uint64) + np.uint64(1)) * np.uint64(_BASE)
            codes[own] = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(_INVERSE)
        return codes

    def _every_sum(self) -> np.ndarray:
        kept = [np.zeros(1, np.uint64)]
        step, before = 1 << _STEP_BITS, 0
        for begin in range(0, len(self.ids), _CHUNK):
            codes = self._codes_at(slice(begin, min(begin + _CHUNK, len(self.ids))))
            sums = np.cumsum(codes * self._up[: len(codes)])
            sums = sums * np.uint64(pow(_BASE, begin, _WRAP)) + np.uint64(before)
            before = int(sums[-1])
            kept.append(sums[step - 1 :: step].copy())
        return np.concatenate(kept)


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base % _WRAP, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
