"""Which part of a corpus is held out to measure on: whole documents, or the end of the text.

Knows stores; knows no tokens. The same corpus is always split in the same way, whatever the seed
of a run.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuillm.text.spans import Spans
from tuillm.text.text_store import TextStore

# from so many documents on whole ones are held out
MANY_DOCUMENTS = 20
_SEED = 20_260
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Split:
    """The parts to learn and those held out, in the order of the text; `val` may be empty."""

    train: Spans
    val: Spans
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
    count = len(store)
    # in four bytes each, for there may be many millions; the order is that of `permutation(count)`
    order = np.arange(count, dtype=np.uint32)
    np.random.default_rng(_SEED).shuffle(order)
    held_out = np.zeros(count, np.bool_)
    wanted, size = val_fraction * store.bytes, 0
    for at in range(0, count - 1, _BLOCK):
        drawn = order[at : min(at + _BLOCK, count - 1)].astype(np.int64)
        reached = size + np.cumsum(_sizes(store, drawn))
        enough = int(np.searchsorted(reached, wanted)) + 1
        held_out[drawn[:enough]] = True
        size = int(reached[-1])
        if enough <= len(drawn):
            break
    train, val = (Spans(store.ends, 0, store.bytes, chosen) for chosen in (~held_out, held_out))
    return Split(train, val, "documents")


def _tail(store: TextStore, val_fraction: float) -> Split:
    cut = store.byte_of(int(store.characters * (1 - val_fraction)))
    train = Spans(store.ends, 0, cut)
    val = Spans(store.ends, cut, store.bytes, closed=len(store) > 1)
    return Split(train, val, "tail")


def _sizes(store: TextStore, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes documents have, by their numbers."""
    begins = np.where(documents > 0, store.ends[documents - 1], 0)
    return store.ends[documents] - begins
