"""Which tokenizer a corpus gets where none is given, and what it is learned from.

Knows corpora and kinds of tokenizers; knows no token files.
"""

import random
import re
from collections.abc import Iterable

from tuillm.config import TrainConfig
from tuillm.text.chat_rendering import SPECIAL_TOKENS, TOKEN_TEMPLATE, TURN_TOKENS
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import make_tokenizer
from tuillm.text.progress_tick import Tick
from tuillm.text.spans import Spans
from tuillm.text.split import Split
from tuillm.text.tokenizer import Tokenizer, slices
from tuillm.units import size

_BPE_SMALL, _BPE_LARGE, _LARGE_TEXT = 512, 1024, 500_000
# text that a vocabulary is learned from, where there is more
_SAMPLED = 1 << 25
# bytes of different words in it, and those of the pieces that are looked at one after the other
_DIFFERENT, _PIECE = 1 << 21, 1 << 16
_WORD = re.compile(r"\w+")


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
        texts: Iterable[str] = (text for _, text in corpus.store.parts())
        made = make_tokenizer(kind, texts, tick=tick, special=special)
        return made.with_template(corpus.template), ()
    sample: list[str] = []
    total = split.train.bytes
    notes: tuple[str, ...] = ()
    if kind == "bpe":
        sample, learned = _learnable(_sampled(corpus, split.train))
        if total > _SAMPLED or learned:
            of = size(learned or _SAMPLED)
            notes = (f"the vocabulary is learned from {of} of {size(total)} of text",)
    made = make_tokenizer(kind, sample, vocab_size, tick, special=special)
    return made.with_template(corpus.template), notes


def _sampled(corpus: Corpus, spans: Spans) -> list[str]:
    """Return about `_SAMPLED` bytes of the spans' texts, spread over them.

    In conversations the names of special tokens are left out, which are no text.
    """
    store, every = corpus.store, max(1, -(-spans.bytes // _SAMPLED))
    texts: list[str] = []
    number = 0
    for block in spans.parts(store.content, _SAMPLED // 16):
        texts += store.texts(block.part(slice(-number % every, None, every)))
        number += len(block.begins)
    if corpus.template:
        texts = [piece for text in texts for piece in SPECIAL_TOKENS.split(text) if piece]
    return texts


def _learnable(texts: list[str]) -> tuple[list[str], int]:
    """Return texts whose words take no more memory than there should be, and how many bytes.

    What learns keeps some 85 bytes for each byte of each different word. Of a language without
    blanks nearly all words are different: of such texts a part is taken, from all over them, else
    all, and the bytes are 0.
    """
    pieces = [
        piece[at : at + 4 * _PIECE]  # a run without a blank is learned from in parts, wherever cut
        for text in texts
        for piece in slices(text, _PIECE)
        for at in range(0, len(piece), 4 * _PIECE)
    ]
    order = random.Random(0).sample(range(len(pieces)), len(pieces))
    known: set[str] = set()
    length = 0
    for count, index in enumerate(order, 1):
        words = set(_WORD.findall(pieces[index])) - known
        known |= words
        length += sum(len(word.encode()) for word in words)
        if length >= _DIFFERENT and count < len(order):
            chosen = [pieces[each] for each in sorted(order[:count])]
            return chosen, sum(len(piece.encode()) for piece in chosen)
    return texts, 0
