"""What a model made of a text: how likely each token was to it, and what else it had in mind.

All numbers are the model's own, before temperature and cuts. What stands before a token is what
a Sampler would have had in its window there, so the scores of a reply are the log probabilities
it was streamed with. Whole windows are read, without a KV cache: a Sampler's context, and a reply
that is under way, are never touched. Knows no terminal.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from tuillm.config.gpt_config import LOGITS_AT_ONCE, windows_at_once
from tuillm.errors import UsageError, printable
from tuillm.generation.context_window import slide
from tuillm.generation.sampler import Sampler
from tuillm.generation.sampling import not_finite
from tuillm.model import Decoder
from tuillm.text import Tokenizer

_LEAST = 64  # positions that are read at once, whatever their logits take


@dataclass(frozen=True)
class TokenScore:
    """How likely the token at `index` of a list of ids was: `logprob` in nats, 0 or less.

    `text` is what the token adds to the text, safe on a terminal; the texts of all scores make up
    the whole. A character split over tokens comes with its last one, the others add "". `label`
    is the token alone, see `label_of`; `as_bytes` are its bytes.
    """

    index: int
    id: int
    logprob: float
    text: str
    label: str
    as_bytes: bytes

    @property
    def bits(self) -> float:
        """The surprisal of the token in bits, 0 or more."""
        return -self.logprob / math.log(2)


@dataclass(frozen=True)
class Summary:
    """Scores taken together: of how many tokens and UTF-8 bytes, and how well predicted.

    Perplexity is exp(nats per token); bits per byte compare across tokenizers. `left_out` bytes
    of the text stand in no token, and cost 8 bits each.
    """

    tokens: int
    bytes: int
    nats_per_token: float
    perplexity: float
    bits_per_byte: float
    left_out: int = 0


@dataclass(frozen=True)
class Alternative:
    """A token that could stand at an index: `rank` 1 is the likeliest, `probability` 0 to 1.

    `actual` tells the one that does stand there. `text` is the token alone, see `label_of`.
    """

    id: int
    text: str
    probability: float
    rank: int
    actual: bool = False


@torch.inference_mode()
def score(
    sampler: Sampler, ids: Sequence[int], *, start: int = 1, n_keep: int = 0
) -> list[TokenScore]:
    """Return how likely each of ids[start:] was, given what stands before it in the window.

    The first block_size ids are read as they are. From there on windows overlap: each begins with
    what `window.slide` leaves of the one before, half a context, so that every token has at least
    that much before it, and more the later it stands in its window. A reply scores as it was
    streamed when ids begin where its window began. Raises ValueError for a start below 1: nothing
    stands before the first token.
    """
    if start < 1:
        raise ValueError(f"start is {start}, but nothing stands before the first token")
    ids = list(ids)
    logprobs: list[float] = []
    block_size = sampler.context.block_size
    for _, group in groupby(_windows(ids, start, block_size, n_keep), key=lambda one: len(one.row)):
        logprobs += _logprobs_of(sampler, list(group))
    logprobs = logprobs[len(logprobs) - max(len(ids) - start, 0) :]
    as_bytes = [sampler.tokenizer.token_bytes(token) for token in ids[start:]]
    return [
        TokenScore(start + number, token, logprob, text, label_of(sampler.tokenizer, token), raw)
        for number, (token, logprob, text, raw) in enumerate(
            zip(ids[start:], logprobs, _texts(sampler.tokenizer, as_bytes), as_bytes, strict=True)
        )
    ]


def summarise(scores: Sequence[TokenScore], left_out: int = 0) -> Summary:
    """Return the figures of a scored text; raises UsageError when no token was scored.

    Bits per byte divide by the bytes of the scored tokens and those `left_out` of them, as
    `training.evaluate` does.
    """
    if not scores:
        raise UsageError("there is nothing to score", "two tokens at least: one predicts the next")
    nats = -sum(one.logprob for one in scores)
    size = sum(len(one.as_bytes) for one in scores)
    mean = nats / len(scores)
    perplexity = math.exp(mean) if mean < 700 else math.inf  # beyond is no float
    bits = nats / math.log(2) + 8 * left_out
    size += left_out
    return Summary(len(scores), size, mean, perplexity, bits / max(size, 1), left_out)


@torch.inference_mode()
def alternatives(
    sampler: Sampler, ids: Sequence[int], index: int, count: int = 10, n_keep: int = 0
) -> list[Alternative]:
    """Return the `count` likeliest tokens at `index`, given ids[:index], the likeliest first.

    The token that does stand there comes last when it is not among them. The window is the one
    that `score` has for the index, which may be len(ids): what could come next. Of equally likely
    tokens the smaller id is first. Raises ValueError for an index outside 1 to len(ids).
    """
    if not 1 <= index <= len(ids):
        raise ValueError(f"index is {index}, outside 1 to {len(ids)}")
    actual = ids[index] if index < len(ids) else None
    # any id will do behind the window: it is not read
    (window,) = _windows([*ids[:index], 0], index, sampler.context.block_size, n_keep)
    idx = torch.tensor([window.row], device=sampler.model.device)
    probs = sampler.model(idx, last=1)[0, -1].float().softmax(-1)  # [V]
    if not bool(probs.isfinite().all()):
        raise not_finite(sampler.name)
    order = probs.argsort(descending=True, stable=True)
    ranks = list(range(min(count, len(order))))
    if actual is not None and (rank := int((order == actual).nonzero())) not in ranks:
        ranks.append(rank)
    chosen = order[ranks].tolist()
    return [
        Alternative(
            token, label_of(sampler.tokenizer, token), probability, rank + 1, token == actual
        )
        for token, probability, rank in zip(chosen, probs[chosen].tolist(), ranks, strict=True)
    ]


def label_of(tokenizer: Tokenizer, token: int) -> str:
    """Return one token as it can be shown by itself, on one line of a terminal.

    Whole characters stand for themselves. Line ends, tabs and all that `errors.printable` takes
    out are escaped as in Python (`\\n`, `\\x1b`, `\\u202e`); bytes that are no whole character are
    named as tokenizers name them (`<0xE2>`); an id without bytes is `<id 7>`, or a special token.
    """
    as_bytes = tokenizer.token_bytes(token).decode("utf-8", "surrogateescape")
    name = as_bytes or tokenizer.names.get(token, f"<id {token}>")
    return "".join(map(_harmless, name))


@dataclass(frozen=True)
class _Window:
    """Ids that are read together; the last of them predict `targets`, each the one behind it."""

    row: list[int]
    targets: list[int]


def _windows(ids: list[int], start: int, block_size: int, n_keep: int) -> Iterator[_Window]:
    """Yield the windows that predict ids[start:], the first of them perhaps some before."""
    kept: list[int] = []
    read, end = 0, len(ids) - 1  # the last id predicts nothing
    while read < end:
        fresh = ids[read : min(read + block_size - len(kept), end)]
        row = kept + fresh
        read += len(fresh)
        if read >= start:
            yield _Window(row, ids[read - len(fresh) + 1 : read + 1])
        kept = slide(row, block_size, n_keep)


def _logprobs_of(sampler: Sampler, windows: list[_Window]) -> list[float]:
    """Return the log probability of each target of windows of one length, in order."""
    model, length = sampler.model, len(windows[0].row)
    at_once = windows_at_once(length, model.config.vocab_size, model.config.n_embd)
    device, found = model.device, []
    for first in range(0, len(windows), at_once):
        batch = windows[first : first + at_once]
        idx = torch.tensor([window.row for window in batch], device=device)
        targets = [[0] * (length - len(window.targets)) + window.targets for window in batch]
        read = _read(model, idx, torch.tensor(targets, device=device))  # [B, T]
        for row, window in zip(read, batch, strict=True):
            found += row[length - len(window.targets) :].tolist()
    if not all(map(math.isfinite, found)):
        raise not_finite(sampler.name)
    return found


def _read(model: Decoder, idx: Tensor, targets: Tensor) -> Tensor:
    """Return the log probabilities [B, T] of targets; a long window is read in parts.

    The logits of all its positions would take more than what the model itself does.
    """
    step = max(_LEAST, LOGITS_AT_ONCE // (model.config.vocab_size * len(idx)))
    if idx.shape[1] <= step:
        return _chosen(model(idx), targets)
    cache = model.new_cache(len(idx))
    parts = zip(idx.split(step, 1), targets.split(step, 1), strict=True)
    return torch.cat([_chosen(model(part, cache), wanted) for part, wanted in parts], 1)


def _chosen(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log probability [B, T] of each target from its row of logits [B, T, V]."""
    logits = logits.float()
    return logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)


def _texts(tokenizer: Tokenizer, as_bytes: list[bytes]) -> list[str]:
    """Return what each token adds to the text, whole characters only."""
    decoder, last = tokenizer.text_decoder(), len(as_bytes) - 1
    return [printable(decoder.decode(raw, index == last)) for index, raw in enumerate(as_bytes)]


def _harmless(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how surrogateescape keeps a byte
        return f"<0x{ord(character) - 0xDC00:02X}>"
    if character in "\n\t" or not printable(character):
        return character.encode("unicode_escape").decode()
    return character
