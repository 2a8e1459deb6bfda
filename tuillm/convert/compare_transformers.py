"""Whether a model of the registry is the same model in transformers: ids, logits, text, size.

The only module that loads transformers; the folder is opened as it lies, by itself,
and nothing is fetched. Knows models and tokenizers; prints nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from pathlib import Path
from typing import Any

import torch

from tuillm.config import SamplingConfig
from tuillm.convert.transformers_model import open_model
from tuillm.errors import one_line
from tuillm.generation import Sampler
from tuillm.generation.context import common_prefix
from tuillm.model import GPT, read_model
from tuillm.store.run_checkpoints import resolve_model
from tuillm.text import Tokenizer, load_tokenizer

# words, digits, code, blanks, scripts, emoji, marks that combine
_VARIED = (
    "The quick brown fox, 3.14159 and 2026-11-26; don't stop!\n\n"
    "def f(x):\n    return x ** 2  # tabs:\t\tand   blanks   \n"
    "Қазақстан — Абай жолы. Война и мир. Ελληνικά. 日本語、漢字かな。 العربية. עברית\n"
    "naïve café, e\u0301 and o\u0308, \u00df\u2026 \U0001f40b\U0001f469\u200d\U0001f4bb "
    "<b>&amp;</b> http://a.b/c?d=e#f\n"
)
_TOKENS = 256
_GREEDY, _PROMPT = 32, 8
# float32 sums in another order; of what logits spread over
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Check:
    """One comparison: `name`, whether it `passed`, and what was found, in words."""

    name: str
    passed: bool
    found: str


def verify(name: str) -> Iterator[Check]:
    """Compare a model with the one that transformers makes of its folder, check by check.

    In float32 on the CPU, both in memory. Raises TuillmError for a model that is unknown or
    damaged; what transformers refuses is a check that failed.
    """
    entry = resolve_model(name)
    model, tokenizer = read_model(entry.path).eval(), load_tokenizer(entry.path)
    try:
        their_model, their_tokenizer = _opened(entry.path)
    except Exception as error:  # whatever a library raises for a folder it cannot read
        words = one_line(str(error)) or type(error).__name__
        yield Check("opens in transformers", False, f"{words:.200}")
        return
    yield Check("opens in transformers", True, type(their_model).__name__)
    yield _parameters(model, their_model)
    yield _token_ids(tokenizer, their_tokenizer)
    text = tokenizer.encode(_known(tokenizer)) or [0]  # a vocabulary may know nothing of it
    ids = list(islice(cycle(text), min(model.config.block_size, _TOKENS)))
    with torch.inference_mode():
        yield _logits(model, their_model, ids)
        yield _greedy(Sampler.of(model, tokenizer), their_model, ids)


def _opened(folder: Path) -> tuple[Any, Any]:
    """Return model and tokenizer as transformers opens them."""
    model = open_model(folder)
    from transformers import AutoTokenizer

    return model, AutoTokenizer.from_pretrained(folder)


def _parameters(ours: GPT, theirs: Any) -> Check:
    """Biases that are all zero are no parameters of ours: they compute nothing."""
    zero, all_theirs = 0, 0
    for name, values in theirs.named_parameters():
        all_theirs += values.numel()
        zero += values.numel() if name.endswith(".bias") and not values.any() else 0
    count = ours.parameter_count
    left_out = 0 if ours.config.bias else zero
    words = f"{count:,}" + (f", and {left_out:,} biases that are zero" if left_out else "")
    if count + left_out != all_theirs:
        words = f"{count:,} here, {all_theirs:,} there"
    return Check("parameters", count + left_out == all_theirs, words)


def _known(tokenizer: Tokenizer) -> str:
    """The varied text, as far as a vocabulary has characters for it."""
    if not tokenizer.left_out(_VARIED)[0]:
        return _VARIED
    return "".join(one for one in _VARIED if not tokenizer.left_out(one)[0])


def _token_ids(ours: Tokenizer, theirs: Any) -> Check:
    text = _known(ours)
    expected, found = theirs.encode(text, add_special_tokens=False), ours.encode(text)
    if found == expected:
        return Check("token ids", True, f"{len(found):,} of a varied text are equal")
    index = common_prefix(found, expected)
    return Check(
        "token ids",
        False,
        f"from token {index} on they differ, behind "
        f"{ours.decode(found[max(index - 5, 0) : index])!r}",
    )


def _logits(ours: GPT, theirs: Any, ids: list[int]) -> Check:
    batch = torch.tensor([ids])
    expected = theirs(batch).logits[..., : ours.config.vocab_size]
    difference, spread = float((ours(batch) - expected).abs().max()), float(expected.std())
    return Check(
        "logits",
        difference <= _TOLERANCE * max(spread, 1e-3),
        f"of {len(ids)} tokens differ by {difference:.1e} at most; they spread over {spread:.2f}",
    )


def _until_end(ids: list[int], tokenizer: Tokenizer) -> list[int]:
    return list(takewhile(lambda id: id not in tokenizer.ends, ids))


def _greedy(ours: Sampler, theirs: Any, ids: list[int]) -> Check:
    prompt = ids[:_PROMPT]
    room = min(_GREEDY, len(ids) - len(prompt))
    if room < 1:
        return Check("greedy text", True, "no room for any in so short a context")
    config = SamplingConfig(temperature=0, max_new_tokens=room, lookup="off")
    found = [token.id for token in ours.stream(prompt, config)]
    batch = torch.tensor([prompt])
    out = theirs.generate(
        batch,
        attention_mask=torch.ones_like(batch),  # else a 0 of the prompt is taken for padding
        max_new_tokens=room,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    expected = out[0, len(prompt) :].tolist()
    # ours stops where a reply ends, theirs goes on
    found, expected = (_until_end(ids, ours.tokenizer) for ids in (found, expected))
    passed = found == expected
    words = (
        f"{len(found)} tokens are equal"
        if passed
        else f"differs from token {common_prefix(found, expected)} on"
    )
    return Check("greedy text", passed, words)
