"""The loss of a model on a held-out text: deterministic, every token looked at counted once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tuillm.config.gpt_config import windows_at_once
from tuillm.model import Decoder
from tuillm.model.chunked_loss import IGNORED
from tuillm.text import Tokenizer
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.hardware import autocast, is_out_of_memory

# asked between two batches whether to go no further
StopCheck = Callable[[], bool]


def never() -> bool:
    """Go on to the end."""
    return False


@dataclass(frozen=True)
class Evaluation:
    """`val_loss` in nats per token; `bits_per_byte` in bits per UTF-8 byte.

    What the vocabulary cannot write is in no token, and costs 8 bits a byte: what it would cost to
    guess each of them blindly.
    """

    val_loss: float
    bits_per_byte: float


@dataclass(frozen=True)
class Piece:
    """Windows that go through a model side by side: where they begin, and how wide they are.

    Only the last `counted` tokens of each are predicted.
    """

    starts: list[int]
    width: int
    counted: int


@torch.no_grad()
def evaluate(
    model: Decoder,
    tokens: np.ndarray,
    text_bytes: int,
    tokenizer: Tokenizer,
    interrupted: StopCheck = never,
    *,
    most: int | None = None,
    stride: int | None = None,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[float], None] = lambda share: None,
    left_out: int = 0,
    mask: np.ndarray | None = None,
    ranks: Ranks | None = None,
    window: int | None = None,
) -> Evaluation | None:
    """Return the loss of all tokens but the first, in windows of block_size side by side.

    Windows have `window` tokens where that is less. With a `stride` they overlap: each begins so
    many tokens after the one before, and only what that one has not predicted counts, with
    block_size - stride tokens before it at least. Where there are more than `most` tokens, only as
    many are looked at, in whole windows spread over the text. Of a `mask` only the tokens that it
    marks count. `text_bytes` is the number of bytes behind the tokens that count, `left_out` of
    which stand in none; products are of precision `dtype`; `progress` is told the share done, 0 to
    1. Returns None when `interrupted` says so between two batches. Of several `ranks` each looks
    at a part, all of them to the end.
    """
    was_training, device = model.training, model.device
    model.eval()
    length, context = len(tokens) - 1, model.config.block_size
    width = min(window or context, context)
    at_once = windows_at_once(width, model.config.vocab_size, model.config.n_embd)
    starts = spread(length, width, most)
    if starts is None:
        pieces = cover(length, width, min(stride or width, width), at_once)
        lacking = float(left_out)
        first = _marked(tokens, mask, 0, 1)  # which nothing predicts
        seen = text_bytes - left_out - sum(len(tokenizer.token_bytes(int(id))) for id in first)
    else:
        pieces = _side_by_side(starts, width, width, at_once)
        seen = sum(
            len(tokenizer.token_bytes(int(token)))
            for start in starts
            for token in _marked(tokens, mask, start + 1, start + 1 + width)
        )
        lacking = left_out * seen / max(text_bytes - left_out, 1)  # their share of these windows
    total, count, ranks = 0.0, 0, ranks or Ranks()
    for number, (piece, ours) in enumerate(_shared(pieces, ranks), start=1):
        if not ranks.together and interrupted():
            model.train(was_training)
            return None
        idx, targets = _windows(tokens, mask, piece)
        summed, here = _summed_loss(model, idx.to(device), targets.to(device), dtype)
        total, count = total + ours * summed, count + ours * here
        progress(number / len(pieces))
    model.train(was_training)
    if ranks.together:
        sums = torch.tensor([total, count], dtype=torch.float64)
        ranks.sum(sums)
        total, count = float(sums[0]), int(sums[1])
    return Evaluation(
        total / max(count, 1), (total / math.log(2) + 8 * lacking) / max(seen + lacking, 1)
    )


def spread(length: int, block_size: int, most: int | None) -> list[int] | None:
    """Return where the windows begin that stand for a text of `length` tokens; None for all."""
    whole, wanted = length // block_size, max(1, (most or length) // block_size)
    if most is None or length <= most or wanted >= whole:
        return None
    return [whole * number // wanted * block_size for number in range(wanted)]


def cover(length: int, block_size: int, stride: int, at_once: int) -> list[Piece]:
    """Cut a text of `length` tokens into windows so that each token is predicted once.

    Whole windows come first; what is left at the end of the text is a shorter window, or one
    that overlaps more.
    """
    starts = list(range(0, length - block_size + 1, stride))
    covered = starts[-1] + block_size if starts else 0
    alone = int(stride < block_size)  # before the first window there is nothing
    pieces = _side_by_side(starts[:alone], block_size, block_size, at_once)
    pieces += _side_by_side(starts[alone:], block_size, stride, at_once)
    if covered < length:
        begin = covered if stride == block_size else max(0, length - block_size)
        pieces.append(Piece([begin], length - begin, length - covered))
    return pieces


def _shared(pieces: list[Piece], ranks: Ranks) -> list[tuple[Piece, bool]]:
    """Return a rank's part of the pieces, and whether they count.

    There are as many for each rank, since all may have to meet in each of them.
    """
    mine = [(piece, True) for piece in pieces[ranks.rank :: ranks.size]]
    return mine + [(pieces[0], False)] * (-(-len(pieces) // ranks.size) - len(mine))


def _summed_loss(
    model: Decoder, idx: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype
) -> tuple[float, int]:
    """Return the loss of all targets that count, added up, and their number.

    Windows that the memory does not hold side by side go through the model by halves.
    """
    here = int((targets != IGNORED).sum())
    try:
        with autocast(idx.device, dtype):
            return model.loss(idx, targets).item() * here, here
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(idx) == 1:
            raise
    middle = len(idx) // 2
    halves = [
        _summed_loss(model, idx[part], targets[part], dtype)
        for part in (slice(middle), slice(middle, None))
    ]
    return sum(summed for summed, _ in halves), here


def _side_by_side(starts: list[int], width: int, counted: int, at_once: int) -> list[Piece]:
    return [
        Piece(starts[first : first + at_once], width, counted)
        for first in range(0, len(starts), at_once)
    ]


def _windows(
    tokens: np.ndarray, mask: np.ndarray | None, piece: Piece
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids [n, width] and targets [n, counted], IGNORED where the mask is not set."""
    spans = [slice(start, start + piece.width + 1) for start in piece.starts]
    ids = np.stack([tokens[span] for span in spans]).astype(np.int64)
    targets = ids[:, piece.width + 1 - piece.counted :]
    if mask is not None:
        marked = np.stack([mask[span] for span in spans])[:, piece.width + 1 - piece.counted :]
        targets = np.where(marked, targets, IGNORED)
    return torch.from_numpy(ids[:, :-1]), torch.from_numpy(targets)


def _marked(tokens: np.ndarray, mask: np.ndarray | None, begin: int, end: int) -> np.ndarray:
    """Return the tokens of a range that count."""
    return tokens[begin:end] if mask is None else tokens[begin:end][mask[begin:end]]
