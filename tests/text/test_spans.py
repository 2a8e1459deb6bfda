"""Spans of a text, worked out in blocks, are those that a plain list of its documents gives."""

import random

import numpy as np
import pytest

from tuillm.text import spans as module
from tuillm.text import split
from tuillm.text.corpus import Corpus
from tuillm.text.spans import Spans
from tuillm.text.split import split_store


def documents(draw, count):
    """Random texts, of a word and of many."""
    words = ["sea ", "the ", "é", "\n", "鲸鱼。"]
    return ["".join(draw.choices(words, k=draw.randint(1, 40))) for _ in range(count)]


def plainly(texts, begin, end, chosen, closed):
    """The spans by a loop over the documents."""
    found, at = [], 0
    for index, text in enumerate(texts):
        start, stop = at, at + len(text.encode())
        at = stop
        if max(start, begin) < min(stop, end) and chosen[index]:
            found.append((max(start, begin), min(stop, end), closed and stop <= end))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_spans_are_the_documents_in_a_range(monkeypatch, seed):
    """Wherever the range begins and ends, whatever is chosen; counted and measured as well."""
    monkeypatch.setattr(module, "_BLOCK", 7)
    draw = random.Random(seed)
    texts = documents(draw, 50)
    store = Corpus.of(texts).store
    closed = bool(seed % 2)
    for _ in range(30):
        begin, end = draw.randint(0, store.bytes), draw.randint(0, store.bytes)
        chosen = np.array([draw.random() < 0.6 for _ in texts])
        for mask in (None, chosen):
            spans = Spans(store.ends, begin, end, mask, closed)
            expected = plainly(texts, begin, end, np.ones(50) if mask is None else mask, closed)
            assert [*spans] == expected
            assert len(spans) == len(expected)
            assert spans.bytes == sum(stop - start for start, stop, _ in expected)


@pytest.mark.parametrize("size", [1, 30, 200, 1 << 20])
def test_batches_are_gathered_in_one_way(monkeypatch, size):
    """However many documents are worked out at a time: a batch ends as soon as it has the size."""
    texts = documents(random.Random(size), 200)
    store = Corpus.of(texts).store
    chosen = np.arange(200) % 3 > 0
    spans = Spans(store.ends, 0, store.bytes, chosen)
    expected, batch = [], []
    for span in spans:
        for begin, end in store.cuts(span.begin, span.end, size):
            batch.append((begin, end, end == span.end))
            if sum(stop - start for start, stop, _ in batch) >= size:
                expected.append(batch)
                batch = []
    expected += [batch] if batch else []
    for block in (3, 64, 1 << 16):
        monkeypatch.setattr(module, "_BLOCK", block)
        found = [*spans.batches(store.content, size)]
        assert [[*zip(*map(np.ndarray.tolist, each), strict=True)] for each in found] == expected
        assert [text for each in found for text in store.texts(each)] == [
            store.text(begin, end) for each in expected for begin, end, _ in each
        ]


@pytest.mark.parametrize("count", [2, 25, 1000])
@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.9])
def test_what_is_held_out_is_drawn_as_numpy_permutes(monkeypatch, count, fraction):
    """By the order of `permutation`, as many as it takes; drawn in blocks, in half the memory."""
    monkeypatch.setattr(split, "_BLOCK", 11)
    texts = [f"document {index} " + "x" * (index % 7 * 10) for index in range(count)]
    store = Corpus.of(texts).store
    order = np.random.default_rng(split._SEED).permutation(count)
    held_out, size = [], 0
    for index in order[: count - 1].tolist():
        held_out.append(index)
        size += len(texts[index])
        if size >= fraction * store.bytes:
            break
    found = split_store(store, fraction, "documents")
    assert [span[:2] for span in found.val] == [store.span(each) for each in sorted(held_out)]
    assert len(found.train) == count - len(held_out)
