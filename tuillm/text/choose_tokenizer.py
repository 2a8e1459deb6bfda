"""Which tokenizer a corpus gets where none is given, and what it is learned from.

Knows corpora and kinds of tokenizers; knows no token files.
"""

from collections.abc import Iterable
from itertools import islice

from tuillm.config import TrainConfig
from tuillm.text.chat_rendering import SPECIAL_TOKENS, TOKEN_TEMPLATE, TURN_TOKENS
from tuillm.text.corpus import Corpus
from tuillm.text.encode_spans import Spans
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import Tick
from tuillm.text.split import Split
from tuillm.text.tokenizer import Tokenizer
from tuillm.units import size

_BPE_SMALL, _BPE_LARGE, _LARGE_TEXT = 512, 1024, 500_000
# text that a vocabulary is learned from, where there is more
_SAMPLED = 1 << 25


def choose_tokenizer(corpus: Corpus, config: TrainConfig) -> tuple[str, int]:
    """Return the kind and the vocabulary size for a corpus: what `auto` stands for.

    Measured: on one book 1,024 pieces learn best, 512 below half a megabyte; on less than
    10 KB there is too little to learn pieces from.
    """
    size = corpus.bytes
    kind = config.tokenizer
    if kind == "auto":
        kind = "bpe" if size >= 10_000 else "char"
    if kind != "bpe":
        return kind, 0
    return kind, config.vocab_size or (_BPE_LARGE if size >= _LARGE_TEXT else _BPE_SMALL)


def tokenizer_for(
    corpus: Corpus, config: TrainConfig, split: Split, tick: Tick
) -> tuple[Tokenizer, tuple[str, ...]]:
    """Make the tokenizer that a corpus gets; bpe learns from the training part alone."""
    kind, vocab_size = choose_tokenizer(corpus, config)
    special = TURN_TOKENS if corpus.template == TOKEN_TEMPLATE else ()
    if kind == "char":  # a set of characters gives nothing away
        texts: Iterable[str] = (text for _, text in corpus.store.parts(anywhere=True))
        made = make_tokenizer(kind, texts, tick=tick, special=special)
        return made.with_template(corpus.template), ()
    sample, total = _sampled(corpus, split.train), split.train.bytes
    notes: tuple[str, ...] = ()
    if kind == "bpe" and total > _SAMPLED:
        notes = (f"the vocabulary is learned from {size(_SAMPLED)} of {size(total)} of text",)
    made = make_tokenizer(kind, sample, vocab_size, tick, special=special)
    return made.with_template(corpus.template), notes


def _sampled(corpus: Corpus, spans: Spans) -> list[str]:
    """Return about `_SAMPLED` bytes of the spans' texts, spread over them.

    In conversations the names of special tokens are left out, which are no text.
    """
    store = corpus.store
    every = max(1, -(-spans.bytes // _SAMPLED))
    parts = (part for span in spans for part in store.cuts(span.begin, span.end, _SAMPLED // 16))
    texts = [store.text(*part) for part in islice(parts, 0, None, every)]
    if corpus.template:
        texts = [piece for text in texts for piece in SPECIAL_TOKENS.split(text) if piece]
    return texts
