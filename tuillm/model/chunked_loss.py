"""The loss of a large vocabulary with few of its logits in memory, and none twice.

For GPT-2's 50,257 entries, the logits of 1,024 tokens with their softmax and its gradient take
600 MB in float32, most of it new memory in every step. Here the logits are turned into their own
gradient in place, some rows at a time, while they are in the processor's cache. Where all of them
would still fill the memory, as those of 150,000 entries can, the head's gradient is added up in the
forward pass, piece by piece, and no logits are kept.
(The gradient of cross-entropy is softmax minus one-hot; the same idea as in Liger Kernel, 2024.)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuillm.config.gpt_config import LOGITS_AT_ONCE, LOGITS_PIECE, keeps_logits
from tuillm.model.linear import Linear

# logits computed at once where none are kept
_BLOCK = 13_000_000
# of these, those turned at once: what the processor's cache holds; a GPU wants large operations
_TURNED, _TURNED_ON_GPU = 1_600_000, 64_000_000

# the target of a token that is not to be predicted, as PyTorch has it
IGNORED = -100


def head_loss(x: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of head(x [B, T, C]) against targets [B, T].

    The logits of IGNORED targets are not even computed; where there are no others it is 0.
    """
    x, targets = x.flatten(0, 1), targets.flatten()
    wanted = targets != IGNORED
    if not bool(wanted.all()):
        x, targets = x[wanted], targets[wanted]
        if not len(targets):
            return (x * 0.0).sum()
    # few logits are left to PyTorch
    if not isinstance(head, Linear) or len(x) * head.out_features < LOGITS_AT_ONCE:
        return F.cross_entropy(head(x).float(), targets)
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        x = x.to(torch.get_autocast_dtype(kind))
    learning = torch.is_grad_enabled()
    loss: Tensor = _HeadLoss.apply(x, head.weight, head, targets, learning)
    return loss


class _HeadLoss(torch.autograd.Function):
    """x [N, C] in the precision of the products; a head that learns keeps [N, V], or [V, C]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, head: Linear, targets: Tensor, learning: bool
    ) -> Tensor:
        trained, V = learning and weight.requires_grad, head.out_features
        size = x.element_size()
        few = not trained
        if trained and x.device.type == "cpu":
            few = not keeps_logits(len(x), V, x.shape[1], size)
        rows = max(1, LOGITS_PIECE // (V * size) if trained else _BLOCK // V) if few else len(x)
        total, kept = torch.zeros((), device=x.device), []
        of_weight = torch.zeros_like(weight) if few and trained else None
        for part, wanted in zip(x.split(rows), targets.split(rows), strict=True):
            logits = head.product(part)
            total += _to_gradient(logits, wanted, learning)
            if learning:
                kept.append(head.product_back(logits) if few else logits)
            if of_weight is not None:
                _add_product(of_weight, logits, part)
            del logits  # before the next ones are computed
        ctx.head, ctx.few, ctx.trained = head, few, trained
        if learning:
            ctx.save_for_backward(x, torch.cat(kept) if few else kept[0], of_weight)
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kept, of_weight = ctx.saved_tensors
        scale, head = grads[0] / len(x), ctx.head
        if ctx.few:
            found = head.add_grad(of_weight.mul_(scale)) if ctx.trained else None
            return kept * scale, found, None, None, None
        found = head.accumulate_grad(kept, x * scale)
        inner = head.product_back(kept) * scale if ctx.needs_input_grad[0] else None
        return inner, found, None, None, None


def _add_product(total: Tensor, logits: Tensor, x: Tensor) -> None:
    """Add logits [N, V] transposed, times x [N, C], to a total [V, C] in float32."""
    if logits.dtype == total.dtype:
        total.addmm_(logits.t(), x)
    else:
        total += logits.t() @ x


def _to_gradient(logits: Tensor, targets: Tensor, learning: bool) -> Tensor:
    """Return the summed loss of logits [N, V]; with `learning` they become their own gradient."""
    total = torch.zeros((), device=logits.device)
    most = _TURNED if logits.device.type == "cpu" else _TURNED_ON_GPU
    rows = max(1, most // logits.shape[1])
    for part, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
        at = wanted[:, None]
        if not learning:
            total -= torch.log_softmax(part, -1, dtype=torch.float32).gather(1, at).sum()
            continue
        # one look fewer than by logarithms; no loss is beyond the 87 nats of the smallest number
        shares = torch.softmax(part, -1, dtype=torch.float32)
        wins = shares.gather(1, at)
        total -= wins.clamp(min=torch.finfo(torch.float32).tiny).log().sum()
        part.copy_(shares.scatter_(1, at, wins - 1))
    return total
