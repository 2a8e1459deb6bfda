"""How many tokens a text comes to under each tokenizer.

The pieces of bpe are learned from a sample of at most 2 MB, once: a vocabulary of 512 is the
beginning of one of 4,096. GPT-2's is asked only where it is at hand without a network.
"""

from typing import Any

from tuillm.config import build_train
from tuillm.text.choose_tokenizer import choose_tokenizer
from tuillm.text.corpus import Corpus
from tuillm.text.new_tokenizer import gpt2_is_cached, make_tokenizer
from tuillm.text.progress_tick import Tick
from tuillm.text.tokenizer import Tokenizer
from tuillm.text.tokenizer_json import BYTE_LEVEL, pair_of, tokenizer_spec
from tuillm.text_report.exploration_record import TokenRate, TokenRates

SAMPLE_BYTES = 2_000_000
_SIZES = (512, 1024, 4096)
_MEASURED = 500_000


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
    for name, tokenizer in _tokenizers(sample, tick).items():
        cut = (part for text in measured for part in tokenizer.slices(text))
        tokens = sum(len(tokenizer.encode(part)) for part in cut)
        rate = tokens / max(size_in_bytes, 1)
        rates.append(
            TokenRate(name, tokenizer.n_vocab, rate, round(rate * corpus.bytes), name == wanted)
        )
    learned = sum(len(text.encode()) for text in sample)
    return TokenRates(tuple(rates), learned)


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
