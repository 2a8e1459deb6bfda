"""The loss of a model on a whole text: deterministic, in float32, every token counted once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from tuillm.model import GPT
from tuillm.text import Tokenizer
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
    stride: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Evaluation | None:
    """Return the loss of all tokens but the first, in windows of block_size side by side.

    With a `stride` windows overlap: each begins so many tokens after the one before, and only
    what that one has not foretold counts, with block_size - stride tokens before it at least.
    `text_bytes` is the number of bytes behind `tokens`; `progress` is told the share done, 0 to
    1. Returns None when `interrupted` says so between two batches.
    """
    was_training, device = model.training, model.wte.weight.device
    model.eval()
    total, done, count = 0.0, 0, len(tokens) - 1
    shape = model.config
    for idx, targets in _windows(tokens, shape.block_size, stride, shape.vocab_size):
        if interrupted():
            model.train(was_training)
            return None
        logits = model(idx.to(device), last=targets.shape[1]).flatten(0, 1).float()
        total += F.cross_entropy(logits, targets.to(device).flatten(), reduction="sum").item()
        done += targets.numel()
        progress(done / count)
    model.train(was_training)
    counted_bytes = text_bytes - len(tokenizer.token_bytes(int(tokens[0])))
    return Evaluation(total / count, total / math.log(2) / max(counted_bytes, 1))


def _windows(
    tokens: np.ndarray, block_size: int, stride: int | None, vocab_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield windows [n, width] in batches, each with the targets [n, counted] of its end.

    Whole windows come first; what is left at the end of the text is a shorter window, or one
    that overlaps more.
    """
    length = len(tokens) - 1
    step = min(stride or block_size, block_size)
    starts = list(range(0, length - block_size + 1, step))
    covered = starts[-1] + block_size if starts else 0
    pieces = [(starts[:1], block_size, block_size)] if step < block_size else []
    starts = starts[len(pieces) :]
    at_once = windows_at_once(block_size, vocab_size)
    pieces += [(starts[first : first + at_once], block_size, step)
               for first in range(0, len(starts), at_once)]
    if covered < length:
        begin = covered if step == block_size else max(0, length - block_size)
        pieces.append(([begin], length - begin, length - covered))
    for begins, width, counted in pieces:
        if begins:
            rows = np.stack([tokens[begin : begin + width + 1] for begin in begins])
            ids = torch.from_numpy(rows.astype(np.int64))
            yield ids[:, :-1], ids[:, width + 1 - counted :]
