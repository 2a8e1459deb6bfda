"""The linear layers and the table of vectors, and how large ones learn in bfloat16 on CPUs.

A weight that learns is kept in float32. PyTorch's autocast turns it into bfloat16 in each forward
pass, and its gradient back into float32 before that is added to what was zeroed: for GPT-2's shape
as much traffic through memory as the products themselves. With a `bf16_shadow` a weight is turned
once a step, and its gradient is written once, where the optimizer looks for it.

Knows tensors; who makes the shadows (training's optimizer) is not known here.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """A linear layer whose weights begin undefined: `init_weights` or a file fills them.

    Memory that nobody has written to costs nothing, so a model that is about to be read from a
    file takes no time to make. (PyTorch's meta device would cost most of a second of imports.)

    `bf16_shadow` is the weight in bfloat16, or None; where there is one, `weight.grad` is written
    by the backward pass itself: replaced where it is `stale`, else added to.
    """

    bf16_shadow: Tensor | None = None
    stale = False

    def reset_parameters(self) -> None:
        """Leave the weights undefined."""

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out], in autocast's precision where that is on."""
        if self.bf16_shadow is None or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        flat = x.to(self.bf16_shadow.dtype).flatten(0, -2)
        y: Tensor = _ShadowedLinear.apply(flat, self.weight, self.bias, self)
        return y.view(*x.shape[:-1], -1)

    def product(self, x: Tensor) -> Tensor:
        """x [N, in] -> [N, out] in the precision of x; no gradient is kept."""
        return F.linear(
            x, self._weight_for(x), None if self.bias is None else self.bias.to(x.dtype)
        )

    def product_back(self, grad: Tensor) -> Tensor:
        """The gradient of x [N, in] from that of the product, [N, out]."""
        return grad @ self._weight_for(grad)

    def accumulate_grad(self, grad: Tensor, x: Tensor) -> Tensor | None:
        """Give the weight its gradient from those of the product [N, out] and its input [N, in].

        Returns it for autograd to add, or None where it has been written already.
        """
        return self.add_grad(grad.t() @ x)

    def add_grad(self, found: Tensor) -> Tensor | None:
        """Give the weight a gradient [out, in], as `accumulate_grad` does."""
        if self.bf16_shadow is None:
            return found
        assert self.weight.grad is not None
        if self.stale:
            self.weight.grad.copy_(found)
            self.stale = False
        else:
            self.weight.grad.add_(found)
        return None

    def _weight_for(self, x: Tensor) -> Tensor:
        if self.bf16_shadow is not None and x.dtype == self.bf16_shadow.dtype:
            return self.bf16_shadow
        return self.weight.to(x.dtype)


class Embedding(nn.Embedding):
    """A table of vectors that begins undefined, like Linear.

    `head` holds the layer whose weight this table is too, where that layer has a shadow: the
    gradients of the rows looked up are then added to what it wrote.
    """

    head: tuple[Linear, ...] = ()

    def reset_parameters(self) -> None:
        """Leave the table undefined."""

    def forward(self, idx: Tensor) -> Tensor:
        """idx [B, T] -> [B, T, C]."""
        if not self.head:
            return super().forward(idx)
        found: Tensor = _LookUp.apply(idx, self.weight, self.head[0])
        return found


class StoredEmbedding(Embedding):
    """A table in the precision of its file, looked up in float32: the stream is that on CPUs."""

    def forward(self, idx: Tensor) -> Tensor:
        """idx [B, T] -> [B, T, C]."""
        return super().forward(idx).float()


class _ShadowedLinear(torch.autograd.Function):
    """A product with a weight that has a bfloat16 shadow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layer: Linear) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layer = layer
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,), layer = ctx.saved_tensors, ctx.layer
        grad = grads[0].contiguous()
        layer.accumulate_grad(grad, x)
        bias = grad.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        return layer.product_back(grad) if ctx.needs_input_grad[0] else None, None, bias, None


class _LookUp(torch.autograd.Function):
    """Rows of a table that is also the weight of a head with a bfloat16 shadow."""

    @staticmethod
    def forward(ctx: Any, idx: Tensor, weight: Tensor, head: Linear) -> Tensor:
        ctx.save_for_backward(idx)
        ctx.head = head
        return F.embedding(idx, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        (idx,), head = ctx.saved_tensors, ctx.head
        if head.stale:  # the head took no part
            head.weight.grad.zero_()
            head.stale = False
        head.weight.grad.index_add_(0, idx.flatten(), grads[0].float().flatten(0, -2))
        return None, None, None
