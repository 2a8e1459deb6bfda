"""What is held out: whole documents, the same ones always; or the end of the text."""

import pytest

from tuillm.text.corpus import Corpus
from tuillm.text.split import MANY_DOCUMENTS, split_store


def store_of(count):
    """Documents of different lengths."""
    return Corpus.of(
        [f"document {index} " + "x" * (index % 7 * 10) for index in range(count)]
    ).store


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("count", [2, 20, 300])
def test_whole_documents(count, fraction):
    """Together they are the corpus, in its order; about the fraction is held out, one at least."""
    store = store_of(count)
    split = split_store(store, fraction, "documents")
    spans = sorted([*split.train, *split.val], key=lambda span: span.begin)
    assert [(span.begin, span.end) for span in spans] == [store.span(i) for i in range(count)]
    assert all(span.whole for span in spans) and len(split.train) and len(split.val)
    assert list(split.train) == sorted(split.train, key=lambda span: span.begin)
    held_out = sum(span.end - span.begin for span in split.val)
    longest = max(span.end - span.begin for span in spans)
    assert fraction * store.bytes <= held_out + 1e-6 or len(split.train) == 1
    assert held_out <= fraction * store.bytes + longest
    assert [*split_store(store, fraction, "documents").val] == [*split.val]


def test_auto_takes_documents_where_there_are_many():
    """Of a few books the end is held out, of many records whole ones; none where none is wanted."""
    assert split_store(store_of(MANY_DOCUMENTS), 0.1).by == "documents"
    assert split_store(store_of(MANY_DOCUMENTS - 1), 0.1).by == "tail"
    assert split_store(store_of(100), 0.1, "tail").by == "tail"
    whole = split_store(store_of(100), 0.0)
    assert not len(whole.val) and len(whole.train) == 100
    assert split_store(store_of(1), 0.1, "documents").by == "tail"
