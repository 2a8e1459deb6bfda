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
) -> Evaluation | None:
    """Return the loss of all tokens but the first, in windows of block_size side by side.

    `text_bytes` is the number of bytes behind `tokens`. Returns None when `interrupted` says so
    between two batches.
    """
    was_training, device = model.training, model.wte.weight.device
    model.eval()
    total, count = 0.0, len(tokens) - 1
    for idx, targets in _windows(tokens, model.config.block_size, model.config.vocab_size):
        if interrupted():
            model.train(was_training)
            return None
        logits = model(idx.to(device)).flatten(0, 1).float()
        total += F.cross_entropy(logits, targets.to(device).flatten(), reduction="sum").item()
    model.train(was_training)
    counted_bytes = text_bytes - len(tokenizer.token_bytes(int(tokens[0])))
    return Evaluation(total / count, total / math.log(2) / max(counted_bytes, 1))


def _windows(
    tokens: np.ndarray, block_size: int, vocab_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield tokens in batches of whole windows, then one shorter window at the end."""
    whole = (len(tokens) - 1) // block_size
    at_once = windows_at_once(block_size, vocab_size)
    edges = [*range(0, whole, at_once), whole]
    pieces = [(first * block_size, last * block_size, block_size)
              for first, last in zip(edges, edges[1:], strict=False)]
    rest = len(tokens) - 1 - whole * block_size
    if rest:
        pieces.append((whole * block_size, len(tokens) - 1, rest))
    for start, end, width in pieces:
        ids = torch.from_numpy(tokens[start : end + 1].astype(np.int64))
        yield ids[:-1].view(-1, width), ids[1:].view(-1, width)
