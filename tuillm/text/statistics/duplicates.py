"""Documents and lines that stand in a text more than once.

They are compared by hashes of 64 bits and more, so that a text of any size needs 16 bytes a line.
Passages that are no whole lines are the matter of `longest_repeat`.
"""

import hashlib
from collections import Counter

import numpy as np

from tuillm.store.workers.exploration_record import DocumentLengths, LineCount, Repeated
from tuillm.text.corpus import Corpus
from tuillm.text.statistics.blocks import line_blocks, parts

_SHOWN, _LONGEST = 10, 1000


class LineCounter:
    """Finds lines that repeat others, block by block; blank ones count for nothing."""

    def __init__(self) -> None:
        self._hashes: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []

    def add(self, block: str) -> None:
        """Take the lines of a block."""
        lines = _lines(block)
        self._hashes.append(np.fromiter(map(hash, lines), np.int64, len(lines)))
        self._sizes.append(np.fromiter(map(len, lines), np.uint32, len(lines)))

    def repeated(self) -> tuple[Repeated, dict[int, int]]:
        """Return how many lines repeat an earlier one, and the most frequent by their hash."""
        hashes = np.concatenate([np.empty(0, np.int64), *self._hashes])
        sizes = np.concatenate([np.empty(0, np.uint32), *self._sizes])
        found, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        extra = len(hashes) - len(found)
        extra_bytes = int(sizes.sum(dtype=np.int64) - sizes[first].sum(dtype=np.int64))
        top = np.argsort(-counts, kind="stable")[:_SHOWN]
        often = {int(found[row]): int(counts[row]) for row in top if counts[row] > 1}
        return Repeated(len(hashes), extra, extra_bytes), often


def lines_of(corpus: Corpus, often: dict[int, int]) -> tuple[LineCount, ...]:
    """Return the lines of some hashes, the most frequent first, of long ones the beginning."""
    found: dict[int, str] = {}
    for block in line_blocks(corpus) if often else ():
        for line in _lines(block):
            if (key := hash(line)) in often and key not in found:
                found[key] = line.decode("utf-8", "surrogatepass")[:_LONGEST]
        if len(found) == len(often):
            break
    counted = [LineCount(line, often[key]) for key, line in found.items()]
    return tuple(sorted(counted, key=lambda each: (-each.count, each.line)))


def documents_of(corpus: Corpus) -> tuple[DocumentLengths, Repeated]:
    """Return the lengths of the documents, and how many are the same as an earlier one."""
    sizes: list[int] = []
    copies: Counter[bytes] = Counter()
    size_by_digest: dict[bytes, int] = {}
    digest, last = hashlib.blake2b(digest_size=16), -1

    def end() -> None:
        key = digest.digest()
        copies[key] += 1
        size_by_digest[key] = sizes[-1]

    for number, part in parts(corpus):
        if number != last:
            if sizes:
                end()
            digest, last = hashlib.blake2b(digest_size=16), number
            sizes.append(0)
        content = part.encode("utf-8", "surrogatepass")
        digest.update(content)
        sizes[-1] += len(content)
    if sizes:
        end()
    extra = sum(count - 1 for count in copies.values())
    extra_bytes = sum((count - 1) * size_by_digest[key] for key, count in copies.items())
    return _lengths(sizes), Repeated(len(sizes), extra, extra_bytes)


def _lengths(sizes: list[int]) -> DocumentLengths:
    if not sizes:
        return DocumentLengths(0, 0, 0.0, 0, ())
    exponents = Counter(size.bit_length() - 1 for size in sizes if size)
    low, high = min(exponents, default=0), max(exponents, default=-1)
    histogram = tuple((1 << bits, exponents[bits]) for bits in range(low, high + 1))
    return DocumentLengths(len(sizes), min(sizes), float(np.median(sizes)), max(sizes), histogram)


def _lines(block: str) -> list[bytes]:
    lines = block.encode("utf-8", "surrogatepass").split(b"\n")
    return [line for line in lines if line and not line.isspace()]
