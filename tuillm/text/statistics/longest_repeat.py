"""Finds the longest passage that occurs twice in a text, exactly, also in 100 MB.

A passage of `_GRAM + _WINDOW - 1` characters or more has, wherever it stands, the same positions in
it whose following `_GRAM` characters have the smallest hash of `_WINDOW` neighbours (winnowing:
Schleimer, Wilkerson and Aiken 2003). Only those few positions are compared: the longest match of
neighbours is a first guess, and then it is proved that none is longer, or a longer one found. In a
text without such long repeats every position is looked at. Knows arrays of characters as numbers.
"""

from collections.abc import Iterator

import numpy as np

from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.statistics.prefix_hashes import PrefixHashes

PADDING = 64
_GRAM, _WINDOW = 32, 32
_SURE = _GRAM + _WINDOW - 1
_PERIODS = 64
_BLOCKS = 1 << 12
_GUESSES = 32
# positions looked at in one go where all of them are, and the text that is small enough for that
_CLASS, _SMALL = 1 << 23, 1 << 20
_STAGE = "looking for repeats"

# a passage of `length` at two positions
Match = tuple[int, int, int]


def longest_repeat(ids: np.ndarray, separator: int = 0, tick: Tick = unwatched) -> Match:
    """Return (length, position, other position) of the longest passage that occurs twice.

    The two may overlap. `ids` are the characters as small numbers, behind them `PADDING` of any;
    no passage reaches over a `separator`, where that is not 0. Length 0: no character occurs
    twice. What `tick` raises ends the work.
    """
    text = _Text(ids, separator, tick)
    if text.size < 2:
        return 0, 0, 0
    if match := text.periodic():
        return match
    text.prepare()
    best = text.longest_sure()
    if best[0] < _SURE:
        best = text.longest_short(best)
    return best


class _Text:
    def __init__(self, ids: np.ndarray, separator: int, tick: Tick) -> None:
        self.ids, self.separator, self.tick = ids, separator, tick
        self.size = len(ids) - PADDING

    def prepare(self) -> None:
        self.tick(_STAGE, 0.0)
        self.hashes = PrefixHashes(self.ids, self.separator)

    def periodic(self) -> Match | None:
        """A text that is one thing again and again, where all else would be slow."""
        ids = self.ids[: self.size]
        if self.separator and (ids == self.separator).any():
            return None
        for period in range(1, min(_PERIODS, self.size // 4) + 1):
            begin = ids[: 4 * _PERIODS]
            if (begin[period:] == begin[:-period]).all() and (ids[period:] == ids[:-period]).all():
                return self.size - period, 0, period
        return None

    def longest_sure(self) -> Match:
        """The longest repeat, if it has `_SURE` characters; else a shorter one or none."""
        runs = self._long_runs()
        positions = self._repeated(*self._selected(runs))
        best = self._guess(*positions)
        if len(runs):  # a run repeats itself, moved on by one
            first, last = runs[(runs[:, 1] - runs[:, 0]).argmax()].tolist()
            best = max(best, (last - first + _GRAM - 1, first, first + 1))
        return self._improve(best, np.sort(positions[0]), _SURE, _WINDOW)

    def longest_short(self, best: Match) -> Match:
        """The longest repeat of a text where none has `_SURE` characters."""
        if self.size > _SMALL:
            part = _Text(self.ids[: self.size // 16 + PADDING], self.separator, self.tick)
            part.hashes = self.hashes
            best = max(best, part.longest_short(best))
        length = best[0] + 1
        positions = np.concatenate([np.empty(0, np.int64), *self._all_repeated(length)])
        return self._improve(best, np.sort(positions), length, 1)

    def _selected(self, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places whose gram has the smallest hash in some window, and those hashes."""
        grams = self.size - _GRAM + 1
        if grams < _WINDOW:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        positions, values = [], []
        reach = _WINDOW - 1
        for begin, end in self.hashes.chunks(grams, 2 * reach + _GRAM):
            self.tick(_STAGE, 0.6 * begin / grams)
            first, last = max(begin - reach, 0), min(end + reach, grams)
            hashes = self.hashes.dense(_GRAM, first, last)
            highest = _sliding(np.minimum, hashes, _WINDOW)  # of each window in reach
            outside = np.zeros(reach, np.uint64)
            highest = _sliding(np.maximum, np.concatenate([outside, highest, outside]), _WINDOW)
            here = slice(begin - first, end - first)
            chosen = np.flatnonzero(hashes[here] == highest[here])
            if len(runs):
                chosen = _thinned(chosen + begin, runs) - begin
            positions.append((chosen + begin).astype(np.uint32 if grams < 1 << 32 else np.int64))
            values.append(hashes[here][chosen])
        return np.concatenate(positions), np.concatenate(values)

    def _long_runs(self) -> np.ndarray:
        """Where one character stands again and again: first and last gram of each run [N, 2]."""
        ids = self.ids[: self.size]
        blocks = len(ids) // _SURE - 1
        alike = [np.empty(0, np.int64)]
        for begin in range(0, blocks, _BLOCKS):
            end = min(begin + _BLOCKS, blocks)
            here = ids[begin * _SURE : end * _SURE]
            same = here == ids[begin * _SURE + 1 : end * _SURE + 1]
            alike.append(np.flatnonzero(same.reshape(-1, _SURE).all(axis=1)) + begin)
        found, behind = [], 0
        for block in np.concatenate(alike).tolist():
            if (position := block * _SURE) >= behind:
                first = position + 1 - self._run(position, position + 1, -1)
                behind = position + 1 + self._run(position, position + 1, 1)
                found.append((first, behind - _GRAM))
        return np.array(found, np.int64).reshape(-1, 2)

    def _repeated(self, positions: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those whose value occurs twice, in the order of values, and of positions among equals."""
        ordered = np.sort(values)
        again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        kept = _among(values, again)
        positions, values = positions[kept].astype(np.int64), values[kept]
        order = np.argsort(values, kind="stable")
        return positions[order], values[order]

    def _guess(self, positions: np.ndarray, values: np.ndarray) -> Match:
        """The longest match between neighbours of the same hash, extended to both sides."""
        same = np.flatnonzero(values[1:] == values[:-1])
        if not len(same):
            return 0, 0, 0
        first, distance = positions[same], positions[same + 1] - positions[same]
        order = np.lexsort((first, distance))
        first, distance = first[order], distance[order]
        breaks = (np.diff(distance) != 0) | (np.diff(first) > _WINDOW)
        begins = np.flatnonzero(np.concatenate([[True], breaks]))
        ends = np.concatenate([begins[1:], [len(first)]]) - 1
        lengths = first[ends] - first[begins]
        chosen = begins[np.argsort(lengths)[-_GUESSES:]]
        pairs = zip(first[chosen].tolist(), distance[chosen].tolist(), strict=True)
        return max(self._extended(position, position + apart) for position, apart in pairs)

    def _improve(self, best: Match, positions: np.ndarray, least: int, window: int) -> Match:
        """Return a longer repeat than `best`, if there is one, and none is longer than that.

        Each of `least` or more characters has one of `positions` among its first `window`.
        """
        length = max(best[0] + 1, least)
        rest = length - window + 1
        positions = positions[positions + rest <= self.size]
        positions = positions[_twice(self.hashes.at(positions, rest))]
        begins, ends = self.hashes.sums(positions), self.hashes.sums(positions + length)
        for offset in range(window if len(positions) else 0):
            self.tick(_STAGE, 0.8)
            starts = positions - offset
            while longer := self._longer(starts, ends - begins, length):
                best, length = longer, longer[0] + 1
                positions, starts = (
                    each[starts + length <= self.size] for each in (positions, starts)
                )
                begins = self.hashes.sums(np.maximum(starts, 0))
                ends = self.hashes.sums(np.maximum(starts + length, 0))
            before = np.maximum(starts - 1, 0)
            begins -= self.hashes.term(before)
            ends -= self.hashes.term(before + length)
        return best

    def _longer(self, starts: np.ndarray, sums: np.ndarray, length: int) -> Match | None:
        """Return a repeat of `length` or more that begins at two of `starts`, if there is any."""
        hashes = sums * self.hashes.down(np.maximum(starts, 0))
        inside = np.flatnonzero((starts >= 0) & (starts + length <= self.size))
        return max(self._checked(starts[inside], hashes[inside], length), default=None)

    def _checked(self, starts: np.ndarray, hashes: np.ndarray, length: int) -> Iterator[Match]:
        """Yield the matches of `length` or more among positions of equal hash, at most some."""
        twice = _twice(hashes)
        starts, hashes = starts[twice], hashes[twice]
        order = np.argsort(hashes, kind="stable")
        starts, hashes = starts[order], hashes[order]
        found = 0
        for row in np.flatnonzero(hashes[1:] == hashes[:-1]).tolist():
            match = self._extended(int(starts[row]), int(starts[row + 1]))
            if match[0] >= length:
                yield match
                if (found := found + 1) >= _GUESSES:
                    return

    def _extended(self, position: int, other: int) -> Match:
        """The longest match with these two positions at the same distance from its beginning."""
        position, other = sorted((position, other))
        right = self._run(position, other, 1)
        left = self._run(position - 1, other - 1, -1)
        return left + right, position - left, other - left

    def _run(self, position: int, other: int, step: int) -> int:
        """How many characters agree from two positions on, forwards or backwards."""
        length, size = 0, 64
        limit = self.size - other if step > 0 else position + 1
        while length < limit:
            take = min(size, limit - length)
            ranges = [
                slice(at + length, at + length + take)
                if step > 0
                else slice(at - length - take + 1, at - length + 1)
                for at in (position, other)
            ]
            here, there = (self.ids[each][::step] for each in ranges)
            differ = here != there
            if self.separator:
                differ |= here == self.separator
            if differ.any():
                return length + int(differ.argmax())
            length, size = length + take, min(2 * size, 1 << 20)
        return length

    def _all_repeated(self, length: int) -> Iterator[np.ndarray]:
        """Yield positions whose passages of `length` occur twice, a class of hashes at a time."""
        count = self.size - length + 1
        classes = max(1, count // _CLASS)
        for number in range(classes if count > 1 else 0):
            positions, values = [], []
            for begin, end in self.hashes.chunks(count, length):
                self.tick(_STAGE, 0.6 + 0.2 * number / classes)
                hashes = self.hashes.dense(length, begin, end)
                own = (hashes >> np.uint64(40)) % np.uint64(classes) == number
                positions.append(np.flatnonzero(own) + begin)
                values.append(hashes[own])
            yield self._repeated(np.concatenate(positions), np.concatenate(values))[0]


def _thinned(positions: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Leave out of each run all grams but the first and every `_WINDOW`th, counted from its end.

    A passage that begins within a run and goes on behind it has one of those where it begins.
    """
    rows = np.searchsorted(runs[:, 0], positions, side="right") - 1
    first, last = runs[rows].T
    inside = (rows >= 0) & (positions > first) & (positions <= last)
    return positions[~inside | ((last - positions) % _WINDOW == 0)]


def _sliding(function: np.ufunc, values: np.ndarray, window: int) -> np.ndarray:
    """Apply minimum or maximum to each window, a power of two wide [N] -> [N - window + 1]."""
    width = 1
    while width < window:
        values = function(values[:-width], values[width:])
        width *= 2
    return values


def _twice(values: np.ndarray) -> np.ndarray:
    """Rows whose value occurs more than once."""
    ordered = np.sort(values)
    return _among(values, np.unique(ordered[1:][ordered[1:] == ordered[:-1]]))


def _among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rows of `values` that are among `known`, which is sorted."""
    if not len(known):
        return np.empty(0, np.int64)
    bits = 22
    table = np.zeros(1 << bits, bool)
    shift = np.uint64(64 - bits)
    table[known >> shift] = True
    rows = np.flatnonzero(table[values >> shift])
    nearest = np.minimum(np.searchsorted(known, values[rows]), len(known) - 1)
    return rows[known[nearest] == values[rows]]
