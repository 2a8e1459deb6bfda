"""What a precision costs: how far its predictions are from those in float32, on real text.

All precisions read the same windows of a text. Knows models and ids; measures no time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuillm.errors import UsageError
from tuillm.model import Decoder

# logits that are worked on at once, in float64: 32 MB
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Quality:
    """What a precision came to over `tokens` predictions.

    `kl` is the mean Kullback-Leibler divergence of its distributions from those in float32, in
    nats: the sum of p (log p - log q); 0 is none. `top1` is the share of positions where both find
    the same token likeliest, `perplexity` exp of the mean surprisal of the tokens that follow.
    """

    dtype: str
    tokens: int
    kl: float
    top1: float
    perplexity: float


def measure_quality(
    reference: Decoder,
    others: dict[str, Decoder],
    windows: Sequence[Sequence[int]],
    tell: Callable[[float], None] = lambda share: None,
) -> list[Quality]:
    """Compare models by dtype with the reference, which is in float32 and comes first.

    Of each window all ids but the last are read, and each is to predict the next one. Sums are
    in float64. Raises UsageError without any windows.
    """
    if not windows:
        raise UsageError(
            "there is nothing to predict", "two tokens at least: one predicts the next"
        )
    models = {"float32": reference, **others}
    sums = {dtype: torch.zeros(3, dtype=torch.float64) for dtype in models}
    tokens = 0
    with torch.inference_mode():
        for number, window in enumerate(windows):
            idx, targets = torch.tensor([window[:-1]]), torch.tensor(window[1:])
            exact = reference(idx)[0]  # [T, V]
            for dtype, model in models.items():
                logits = exact if model is reference else model(idx)[0]
                sums[dtype] += _compared(exact, logits, targets)
            tokens += len(targets)
            tell((number + 1) / len(windows))
    return [_quality(dtype, tokens, *total.tolist()) for dtype, total in sums.items()]


def windows_of(ids: Sequence[int], block_size: int, most: int) -> list[Sequence[int]]:
    """Cut ids into windows of up to `block_size` predictions, spread evenly over the text.

    There are as many as predict about `most` tokens, one at least; they do not overlap, but for
    the id that ends one and begins the next.
    """
    starts = range(0, max(len(ids) - 1, 0), block_size)
    wanted = max(1, min(len(starts), most // block_size))
    chosen = [starts[number * len(starts) // wanted] for number in range(wanted)] if starts else []
    return [ids[start : start + block_size + 1] for start in chosen]


def _compared(exact: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Sums over positions of KL divergence, agreement, and surprisal, of logits [T, V]."""
    total = torch.zeros(3, dtype=torch.float64)
    rows = max(1, _AT_ONCE // exact.shape[1])
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        p, q = (each[part].double().log_softmax(-1) for each in (exact, logits))
        total[0] += (p.exp() * (p - q)).sum()
        total[1] += (exact[part].argmax(-1) == logits[part].argmax(-1)).sum()
        total[2] -= q.gather(1, targets[part, None]).sum()
    return total


def _quality(dtype: str, tokens: int, kl: float, same: float, nats: float) -> Quality:
    mean = nats / tokens
    perplexity = math.exp(mean) if mean < 700 else math.inf  # beyond is no float
    # what rounding leaves of a divergence of nothing may lie below it
    return Quality(dtype, tokens, max(kl / tokens, 0.0), same / tokens, perplexity)
