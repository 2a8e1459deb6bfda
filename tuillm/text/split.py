"""Which part of a corpus is held out to measure on: whole documents, or the end of the text.

Knows stores; knows no tokens. The same corpus is always split in the same way, whatever the seed
of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuillm.text.encode_spans import Span
from tuillm.text.text_store import TextStore

# from so many documents on whole ones are held out
MANY_DOCUMENTS = 20
_SEED = 20_260


@dataclass(frozen=True)
class Split:
    """The parts to learn and those held out, in the order of the text; `val` may be empty."""

    train: Sequence[Span]
    val: Sequence[Span]
    by: Literal["documents", "tail"]


def split_store(
    store: TextStore, val_fraction: float, by: Literal["auto", "documents", "tail"] = "auto"
) -> Split:
    """Hold out `val_fraction` of the documents' bytes, or of the characters at the end.

    A document that the end cuts in two ends in the second part only. A single document is always
    cut.
    """
    many = len(store) >= (MANY_DOCUMENTS if by == "auto" else 2)
    if val_fraction and many and by != "tail":
        return _by_documents(store, val_fraction)
    return _tail(store, val_fraction)


def _by_documents(store: TextStore, val_fraction: float) -> Split:
    order = np.random.default_rng(_SEED).permutation(len(store))
    sizes = np.diff(store.ends, prepend=0)[order]
    most = len(store) - 1
    count = int(np.searchsorted(np.cumsum(sizes), val_fraction * store.bytes)) + 1
    held_out = np.zeros(len(store), np.bool_)
    held_out[order[: min(count, most)]] = True
    spans = [Span(*store.span(index), True) for index in range(len(store))]
    train = [span for span, out in zip(spans, held_out, strict=True) if not out]
    val = [span for span, out in zip(spans, held_out, strict=True) if out]
    return Split(train, val, "documents")


def _tail(store: TextStore, val_fraction: float) -> Split:
    cut = store.byte_of(int(store.characters * (1 - val_fraction)))
    train, val = [], []
    for index in range(len(store)):
        begin, end = store.span(index)
        here = min(max(cut, begin), end)
        train += [Span(begin, here, here == end)] if begin < here else []
        val += [Span(here, end, len(store) > 1)] if here < end else []
    return Split(train, val, "tail")
