"""How many tokens a text comes to under each tokenizer, and what the first of them look like.

The pieces of bpe are learned from a sample of at most 2 MB, once: a vocabulary of 512 is the
beginning of one of 4,096. GPT-2's is asked only where it is at hand without a network.
"""

from dataclasses import dataclass
from typing import Any

from tuillm.config import build_train
from tuillm.text.choose_tokenizer import choose_tokenizer
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import gpt2_is_cached, make_tokenizer
from tuillm.text.progress_tick import Tick
from tuillm.text.statistics.blocks import parts
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import BYTE_LEVEL, pair_of, tokenizer_spec

SAMPLE_BYTES = 2_000_000
_SIZES = (512, 1024, 4096)
_MEASURED = 500_000
_BEGINNING, _EXAMPLE = 2000, 60


@dataclass(frozen=True)
class TokenRate:
    """A tokenizer, the entries of its vocabulary, and what it makes of the sample.

    `tokens` is what the whole text comes to at that rate; `auto` says that training takes this one
    where no other is asked for.
    """

    tokenizer: str
    entries: int
    tokens_per_byte: float
    tokens: int
    auto: bool


@dataclass(frozen=True)
class TokenRates:
    """The rates, and the first tokens of the text under the tokenizer that `auto` takes.

    A token that is part of a character is written with its bytes, as in '\\xd0'.
    """

    rates: tuple[TokenRate, ...]
    sample_bytes: int
    example_tokenizer: str
    example: tuple[str, ...]


def measure_tokens(corpus: Corpus, sample: list[str], tick: Tick) -> TokenRates:
    """Return tokens per byte of a text; `sample` is what pieces are learned from.

    What `tick` raises ends the work.
    """
    sample = [_encodable(text) for text in sample]
    config = build_train({"corpus": ("text",)})
    kind, size = choose_tokenizer(corpus, config)
    wanted = f"bpe {size:,}" if kind == "bpe" else kind
    measured = _beginnings(sample, _MEASURED)
    size_in_bytes = sum(len(text.encode()) for text in measured)
    rates: list[TokenRate] = []
    example: tuple[str, ...] = ()
    for name, tokenizer in _tokenizers(sample, tick).items():
        cut = (part for text in measured for part in tokenizer.slices(text))
        tokens = sum(len(tokenizer.encode(part)) for part in cut)
        rate = tokens / max(size_in_bytes, 1)
        rates.append(
            TokenRate(name, tokenizer.n_vocab, rate, round(rate * corpus.bytes), name == wanted)
        )
        if name == wanted:
            example = _example(tokenizer, next((part for _, part in parts(corpus)), ""))
    learned = sum(len(text.encode()) for text in sample)
    return TokenRates(tuple(rates), learned, wanted, example)


def _tokenizers(sample: list[str], tick: Tick) -> dict[str, Tokenizer]:
    found = {"char": make_tokenizer("char", sample, tick=tick)}
    largest = make_tokenizer("bpe", sample, _SIZES[-1], tick)
    for size in _SIZES:
        shorter = Tokenizer(_shortened(largest.spec, size)) if size < largest.n_vocab else None
        found[f"bpe {size:,}"] = shorter or largest
    if gpt2_is_cached():
        found["gpt2"] = make_tokenizer("gpt2", sample)
    return found


def _shortened(spec: dict[str, Any], size: int) -> dict[str, Any]:
    """The `tokenizer.json` that learning fewer pieces from the same text would have given."""
    model = spec["model"]
    kept = {piece: id for piece, id in model["vocab"].items() if id < size - 1}
    merges = [merge for merge in model["merges"] if "".join(pair_of(merge)) in kept]
    return tokenizer_spec(model | {"vocab": kept, "merges": merges}, BYTE_LEVEL, BYTE_LEVEL)


def _beginnings(sample: list[str], most: int) -> list[str]:
    """The beginning of each text, about `most` characters in all."""
    share = min(1.0, most / max(sum(map(len, sample)), 1))
    return [text[: max(1, round(len(text) * share))] for text in sample]


def _encodable(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs, which no tokenizer takes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _example(tokenizer: Tokenizer, text: str) -> tuple[str, ...]:
    ids = tokenizer.encode(_encodable(text[:_BEGINNING]))[:_EXAMPLE]
    return tuple(tokenizer.token_bytes(id).decode("utf-8", "backslashreplace") for id in ids)
