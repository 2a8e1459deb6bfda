"""Which part of a corpus is held out to measure on: whole documents, or the end of the text.

Knows stores; knows no tokens. The same corpus is always split in the same way, whatever the seed
of a run.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuillm.text.encode_spans import Spans
from tuillm.text.text_store import TextStore

# from so many documents on whole ones are held out
MANY_DOCUMENTS = 20
_SEED = 20_260


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
    order = np.random.default_rng(_SEED).permutation(len(store))
    begins, ends = _bounds(store)
    sizes = (ends - begins)[order]
    count = int(np.searchsorted(np.cumsum(sizes), val_fraction * store.bytes)) + 1
    held_out = np.zeros(len(store), np.bool_)
    held_out[order[: min(count, len(store) - 1)]] = True
    whole = np.ones(len(store), np.bool_)
    train, val = (Spans(begins[part], ends[part], whole[part]) for part in (~held_out, held_out))
    return Split(train, val, "documents")


def _tail(store: TextStore, val_fraction: float) -> Split:
    cut = store.byte_of(int(store.characters * (1 - val_fraction)))
    begins, ends = _bounds(store)
    middles = np.clip(cut, begins, ends)
    learned, held_out = begins < middles, middles < ends
    several = np.full(len(store), len(store) > 1)
    train = Spans(begins[learned], middles[learned], (middles == ends)[learned])
    val = Spans(middles[held_out], ends[held_out], several[held_out])
    return Split(train, val, "tail")


def _bounds(store: TextStore) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the documents begin and end."""
    return np.concatenate([[0], store.ends[:-1]]).astype(np.int64), store.ends
