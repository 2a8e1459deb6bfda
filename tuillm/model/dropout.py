"""Dropout whose random numbers cost little on CPUs, where drawing them took half of a step.

One 64-bit draw serves eight elements, so shares are multiples of 1/256. Follows PyTorch's global
random state, like its own dropout, which stands in its place where a step is compiled: there
random numbers cost little.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_ALL_BITS = -(2**63)


def drop(x: Tensor, share: float) -> Tensor:
    """Return x with about `share` of its elements at zero and the rest scaled up to make up."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, share)
    return x * keep_weights(x, share)


def keep_weights(like: Tensor, share: float) -> Tensor:
    """Return a tensor shaped as `like`: 0 where an element is dropped, else 1 / (1 - share)."""
    if like.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(torch.ones_like(like), share)
    cut = min(round(share * 256), 255)
    draws = torch.empty((like.numel() + 7) // 8, dtype=torch.int64).random_(_ALL_BITS, None)
    kept = draws.view(torch.uint8)[: like.numel()].view(like.shape) >= cut
    return kept.to(like.dtype).mul_(256 / (256 - cut))
