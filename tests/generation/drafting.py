"""Drafters and paces for the tests: drafts that are right, wrong or by chance, of any length."""

import random


class Always:
    """Stands in for the measured pace: each step has `size` tokens, whether that pays or not."""

    ready = True

    def __init__(self, size):
        self.size = size

    def choose(self, kind, match, seconds):
        """Return the size, and a gain above all others."""
        return self.size, 2.0

    def plain(self, *figures):
        """Nothing is measured."""

    verified = settled = plain


class Predicted:
    """Drafts the ids of a text that is known, each of them wrong with a chance of `wrong`."""

    seconds = 0.0

    def __init__(self, ids, wrong=0.0, seed=0):
        self._ids, self._wrong, self._random = ids, wrong, random.Random(seed)
        self._length = 0

    def begin(self, ids):
        """Hear a conversation."""
        self._length = len(ids)

    def push(self, token):
        """Hear an id."""
        self._length += 1

    def match(self):
        """There is a draft as long as the text that is known goes on."""
        return int(self._length < len(self._ids))

    def take(self, count):
        """Return what comes, or what does not."""
        found = self._ids[self._length : self._length + count]
        return [
            (token + 1) % 26 if self._random.random() < self._wrong else token for token in found
        ]


def drafting(sampler, drafters, size=8):
    """Let a sampler draft by these alone, in every step."""
    sampler.speculation.drafters[:] = drafters
    sampler.speculation._length = Always(size)
    return sampler
