"""Prompts that end in the middle of a word, or in a blank, read as the model learned to read.

A tokenizer cuts 'Mar' otherwise than the beginning of 'Marda', so a model that knows the book by
heart does not recognise it. Here the last word of a prompt is taken back, and the likeliest tokens
that spell at least the same bytes are put in its place, but only where the model finds them far
likelier than what was typed. Knows models through a Context, and bytes; draws nothing at random.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tuillm.generation.context import Context
from tuillm.generation.context_window import fit
from tuillm.text import Tokenizer

# how much likelier, in nats, the other reading must be: a hundred times
_MARGIN = 4.6
_LONGEST = 8


@dataclass(frozen=True)
class Reading:
    """A prompt as ids. `last` of them, if not None, spells `extra` bytes beyond the prompt."""

    ids: list[int]
    last: int | None = None
    extra: bytes = b""


def read_prompt(
    context: Context, tokenizer: Tokenizer, ids: list[int], n_keep: int, since: int = 0
) -> tuple[Reading, Tensor, int]:
    """Read a prompt as it is, or with its last word read otherwise.

    What stands before `since` (of a prompt that fits the context) was not typed and stays as it
    is. Returns the reading, the logits [1, V] that follow its `ids`, and how many ids were dropped.
    """
    window = fit(ids, context.block_size, n_keep)
    dropped = len(ids) - len(window)
    start = _last_word(tokenizer, window)
    if start < since:
        start = since if len(window) - _LONGEST <= since < len(window) else 0
    if start == 0 or tokenizer.kind == "char":  # characters can be written in one way only
        return Reading(window), context.read(window, n_keep)[0], dropped
    before, _ = context.read(window[:start], n_keep)
    typed, logits = 0.0, before
    for token in window[start:]:
        typed += _logprobs(logits)[token].item()
        logits, _ = context.advance([token], n_keep)
    read = context.prefilled
    other = _likelier_spelling(context, tokenizer, window, start, before, typed + _MARGIN, n_keep)
    if other is not None:
        return other, context.read(other.ids, n_keep)[0], dropped
    if context.prefilled != read:  # the other spelling was tried for more than one token
        logits, _ = context.read(window, n_keep)
    return Reading(window), logits, dropped


def _likelier_spelling(
    context: Context,
    tokenizer: Tokenizer,
    ids: list[int],
    start: int,
    logits: Tensor,
    bar: float,
    n_keep: int,
) -> Reading | None:
    """Spell the bytes of ids[start:] greedily, from the logits before them.

    Returns None as soon as the log probability of the spelling falls below `bar`, or when it
    does not fit the context.
    """
    rest = b"".join(map(tokenizer.token_bytes, ids[start:]))
    spelled, total = ids[:start], 0.0
    while True:
        allowed = torch.tensor(tokenizer.tokens_spelling(rest), device=logits.device)
        logprobs = _logprobs(logits)[allowed]
        best = int(logprobs.argmax())
        token, logprob = int(allowed[best]), float(logprobs[best])
        total += logprob
        if total < bar:
            return None
        as_bytes = tokenizer.token_bytes(token)
        if len(as_bytes) > len(rest):
            return Reading(spelled, token, as_bytes[len(rest) :])
        if len(spelled) == context.block_size:
            return None
        spelled = [*spelled, token]
        rest = rest[len(as_bytes) :]
        if not rest:
            return Reading(spelled)
        logits, _ = context.read(spelled, n_keep)


def _last_word(tokenizer: Tokenizer, ids: list[int]) -> int:
    """Return where the last word begins: at the last token that begins with a blank.

    A prompt that is one word, or ends in a very long one, is left alone: 0.
    """
    for index in range(len(ids) - 1, max(len(ids) - 1 - _LONGEST, 0), -1):
        as_bytes = tokenizer.token_bytes(ids[index])
        if not as_bytes:
            return 0
        if as_bytes[:1].isspace():
            # a space belongs to the word behind it, a line end does not
            before = as_bytes.endswith(b"\n") and index + 1 < len(ids)
            return index + 1 if before else index
    return 0


def _logprobs(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits[0], -1)
