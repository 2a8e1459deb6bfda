"""Words by frequency, case folded, and how well they follow Zipf's law.

A word is a run of letters, marks and digits, apostrophes within it included. Where a script writes
no blanks (Chinese, Japanese, Thai) these runs are no words, which `Words.without_blanks` tells. Of
a run of more than 200 characters its beginning is kept.
"""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import regex

from tuillm.store.workers.exploration_record import WordCount, Words

_WORD = r"\w+(?:['’]\w+)*"
# more different words than these are not kept: those seen once are let go now and then
_MOST = 2_000_000
# what stands between blanks is counted before it is looked into: so many different ones of it
_PENDING = 200_000
# what is longer is no word that anybody reads, and is known by its beginning
_LONGEST = 200
_RANKS = (10, 1000)
_LEAST_RANKS = 50


class WordCounter:
    """Counts words block by block; `marks` says that letters may be made of several characters."""

    def __init__(self, *, marks: bool) -> None:
        # `re` is three times as fast and takes a vowel sign for the end of a word
        self._find = regex.compile(_WORD).findall if marks else re.compile(_WORD).findall
        self._counts: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()
        self._cut = False
        self.total = 0

    def add(self, block: str) -> None:
        """Count the words of a block, which ends none of them early."""
        self._pending.update(block.split())
        if len(self._pending) > _PENDING:
            self._settle()

    def _settle(self) -> None:
        counts, find = self._counts, self._find
        for between_blanks, count in self._pending.items():
            for word in find(between_blanks.casefold()):
                counts[word[:_LONGEST]] += count
                self.total += count
        self._pending.clear()
        least = 1
        while len(self._counts) > _MOST:
            self._cut = True
            self._counts = Counter({word: n for word, n in self._counts.items() if n > least})
            least += 1

    def words(self, *, without_blanks: bool, keep: int = 1000) -> Words:
        """Return what was counted, with the `keep` most frequent words."""
        self._settle()
        ordered = sorted(self._counts.values(), reverse=True)
        top = sorted(self._counts.most_common(keep), key=lambda item: (-item[1], item[0]))
        return Words(
            self.total,
            len(self._counts),
            sum(1 for count in ordered if count == 1),
            self._cut,
            tuple(WordCount(word, count) for word, count in top),
            zipf_slope(ordered),
            without_blanks,
        )


def zipf_slope(counts: Iterable[int]) -> float | None:
    """Return the slope of log count over log rank, by least squares over ranks 10 to 1000.

    `counts` are in falling order; None where there are not 50 words in these ranks.
    """
    first, last = _RANKS
    heights = np.array(list(counts)[first - 1 : last], float)
    if len(heights) < _LEAST_RANKS:
        return None
    ranks = np.arange(first, first + len(heights))
    return float(np.polyfit(np.log(ranks), np.log(heights), 1)[0])
