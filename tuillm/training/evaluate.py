"""The loss of a model on a held-out text: deterministic, every token looked at counted once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tuillm.model import GPT
from tuillm.text import Tokenizer
from tuillm.training.machine import autocast
from tuillm.training.sizing import windows_at_once


@dataclass(frozen=True)
class Evaluation:
    """`val_loss` in nats per token; `bits_per_byte` in bits per UTF-8 byte."""

    val_loss: float
    bits_per_byte: float


@torch.inference_mode()
def evaluate(
    model: GPT,
    tokens: np.ndarray,
    text_bytes: int,
    tokenizer: Tokenizer,
    interrupted: Callable[[], bool] = lambda: False,
    *,
    most: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Evaluation | None:
    """Return the loss of all tokens but the first, in windows of block_size side by side.

    `text_bytes` is the number of bytes behind `tokens`. Where there are more than `most`, only as
    many are looked at, in whole windows spread over the text. Products are of precision `dtype`.
    Returns None when `interrupted` says so between two batches.
    """
    was_training, device = model.training, model.wte.weight.device
    model.eval()
    total, count, seen = 0.0, 0, 0
    starts = spread(len(tokens) - 1, model.config.block_size, most)
    for idx, targets in _windows(tokens, starts, model.config.block_size, model.config.vocab_size):
        if interrupted():
            model.train(was_training)
            return None
        with autocast(device, dtype):
            loss = model.loss(idx.to(device), targets.to(device))
        total += loss.item() * targets.numel()
        count += targets.numel()
        seen += 0 if starts is None else _bytes_of(targets, tokenizer)
    model.train(was_training)
    if starts is None:
        seen = text_bytes - len(tokenizer.token_bytes(int(tokens[0])))
    return Evaluation(total / count, total / math.log(2) / max(seen, 1))


def spread(length: int, block_size: int, most: int | None) -> list[int] | None:
    """Return where the windows begin that stand for a text of `length` tokens; None for all."""
    whole, wanted = length // block_size, max(1, (most or length) // block_size)
    if most is None or length <= most or wanted >= whole:
        return None
    return [whole * number // wanted * block_size for number in range(wanted)]


def _windows(
    tokens: np.ndarray, starts: list[int] | None, block_size: int, vocab_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield tokens in batches of whole windows; of a whole text then one shorter window."""
    length = len(tokens) - 1
    if starts is None:
        starts = list(range(0, length - block_size + 1, block_size))
        rest = len(starts) * block_size
    else:
        rest = length
    at_once = windows_at_once(block_size, vocab_size)
    for first in range(0, len(starts), at_once):
        rows = np.stack([tokens[start : start + block_size + 1]
                         for start in starts[first : first + at_once]])
        ids = torch.from_numpy(rows.astype(np.int64))
        yield ids[:, :-1], ids[:, 1:]
    if rest < length:
        ids = torch.from_numpy(tokens[rest:].astype(np.int64))[None]
        yield ids[:, :-1], ids[:, 1:]


def _bytes_of(ids: torch.Tensor, tokenizer: Tokenizer) -> int:
    found, counts = ids.unique(return_counts=True)
    return sum(len(tokenizer.token_bytes(each)) * number
               for each, number in zip(found.tolist(), counts.tolist(), strict=True))
