"""What the pieces of a vocabulary are learned from: a part of a large text, spread over all of it.

Less of it where nearly all words are new, as in languages without blanks. Knows corpora and words;
learns nothing.
"""

import random
import re

from tuillm.text.chat_rendering import SPECIAL_TOKENS
from tuillm.text.corpus import Corpus
from tuillm.text.spans import Spans
from tuillm.text.tokenizer import slices

# bytes of different words at most, and those of the pieces that are looked at one after the other
_DIFFERENT, _PIECE = 1 << 21, 1 << 16
_WORD = re.compile(r"\w+")


def learning_sample(corpus: Corpus, spans: Spans, most: int) -> tuple[list[str], int]:
    """Return about `most` bytes of the spans' texts at most, and how many, 0 where that is all.

    In conversations the names of special tokens are left out, which are no text.
    """
    store, every = corpus.store, max(1, -(-spans.bytes // most))
    texts: list[str] = []
    number = 0
    for block in spans.parts(store.content, most // 16):
        texts += store.texts(block.part(slice(-number % every, None, every)))
        number += len(block.begins)
    if corpus.template:
        texts = [piece for text in texts for piece in SPECIAL_TOKENS.split(text) if piece]
    texts, learned = _learnable(texts)
    return texts, learned or (most if spans.bytes > most else 0)


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
