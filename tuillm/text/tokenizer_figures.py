"""Tokenizers that a text may get, and what each makes of it: bytes a token, how often pieces occur.

Knows texts and vocabularies; knows no corpus, and decides nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from tuillm.formats.json_text import JsonObject
from tuillm.text.bulk_encoding import BulkEncoder
from tuillm.text.new_tokenizer import MOST_CHARACTERS, gpt2_is_cached, make_tokenizer
from tuillm.text.progress_tick import Tick, unwatched
from tuillm.text.tiktoken_tokenizer import GPT2_ENTRIES, TiktokenTokenizer
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import BYTE_LEVEL, pair_of, tokenizer_spec

# vocabularies of bpe that are measured
SIZES = (320, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
_BYTES = 256
_STAGE = "measuring tokenizers"


@dataclass(frozen=True)
class TokenizerFigures:
    """What a tokenizer of a `kind` with so many `entries` makes of a text.

    `tokens` is what the whole text comes to. Half of what the vocabulary has learned, pieces or
    characters, occur in it `occurrences` times or more. The `chosen` one is the text's.
    """

    kind: str
    entries: int
    bytes_per_token: float
    tokens: int
    occurrences: int
    chosen: bool = False

    @property
    def name(self) -> str:
        """The tokenizer as a person knows it: 'char', 'bpe 1,024', 'gpt2'."""
        return f"bpe {self.entries:,}" if self.kind == "bpe" else self.kind

    def as_json(self) -> JsonObject:
        """The figures as a flat JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """The figures of such an object; raises TypeError for another one."""
        return cls(**values)


def candidates(
    texts: Sequence[str], largest: int, kinds: Sequence[str], tick: Tick = unwatched
) -> Iterator[tuple[str, Tokenizer]]:
    """Yield the kind and the tokenizer of each candidate, made of texts; smaller ones first.

    `largest` bounds the vocabularies of bpe; GPT-2's is one where it is at hand without a network.
    """
    if "char" in kinds and len(set().union(*texts)) <= MOST_CHARACTERS:
        yield "char", make_tokenizer("char", texts, tick=tick)
    if "bpe" in kinds:
        sizes = [size for size in SIZES if size <= largest] or SIZES[:1]
        learned = make_tokenizer("bpe", texts, sizes[-1], tick)
        for size in sizes:
            yield "bpe", shortened(learned, size)
            if size >= learned.n_vocab:  # a short text has no more pieces
                break
    if "gpt2" in kinds and gpt2_is_cached():
        yield "gpt2", make_tokenizer("gpt2", ())


def shortened(tokenizer: Tokenizer, size: int, special: Sequence[str] = ()) -> Tokenizer:
    """Return the bpe that learning fewer pieces from the same text would have given.

    `special` are names of special tokens that it has besides; the given one has none.
    """
    model = tokenizer.spec["model"]
    if size < tokenizer.n_vocab:
        kept = {piece: id for piece, id in model["vocab"].items() if id < size - 1}
        merges = [merge for merge in model["merges"] if "".join(pair_of(merge)) in kept]
        model = model | {"vocab": kept, "merges": merges}
    return TiktokenTokenizer(tokenizer_spec(model, BYTE_LEVEL, BYTE_LEVEL, special=special))


def measure(
    kind: str, tokenizer: Tokenizer, texts: Sequence[str], total: int, tick: Tick = unwatched
) -> TokenizerFigures:
    """Return the figures of a tokenizer for a text of `total` bytes, of which `texts` are a part.

    What `tick` raises ends the work.
    """
    encoder, entries = BulkEncoder(tokenizer), tokenizer.n_vocab
    counts, size = np.zeros(entries, np.int64), 0
    for text in texts:
        for part in tokenizer.slices(text):
            tick(_STAGE, 0.0)
            counts += np.bincount(encoder.encode([part]).ids, minlength=entries)
            size += len(part.encode())
    scale, tokens = total / max(size, 1), int(counts.sum())
    if kind == "char":  # of those that occur: others are bytes that stand in for unknown ones
        learned = counts[counts > 0]
    else:
        learned = counts[_BYTES : GPT2_ENTRIES - 1 if kind == "gpt2" else entries - 1]
    usual = float(np.median(learned)) if learned.size else 0.0
    return TokenizerFigures(
        kind, entries, size / max(tokens, 1), round(tokens * scale), round(usual * scale)
    )
