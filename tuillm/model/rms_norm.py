"""RMSNorm whose both passes are written by hand for CPUs, where PyTorch has no kernel of its own.

    y = x / sqrt(mean(x^2) + eps) * weight        (Zhang and Sennrich 2019, arXiv:1910.07467)

Knows the two passes; elsewhere, and without gradients, it is PyTorch's.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """x [..., C] -> [..., C], each vector at a root mean square of 1, times a gain [C]."""

    def forward(self, x: Tensor) -> Tensor:
        by_hand = x.device.type == "cpu" and x.dtype == self.weight.dtype and x.requires_grad
        if not by_hand or torch.compiler.is_compiling():
            return super().forward(x)
        return cast(Tensor, _Normalized.apply(x, self.weight, self.eps))


class _Normalized(torch.autograd.Function):
    """RMSNorm in a third of the passes over memory that autograd takes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # [..., 1]
        ctx.save_for_backward(x, weight, scale)
        y: Tensor = (x * scale).mul_(weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        grad, C = grads[0], x.shape[-1]
        normal = x * scale
        product = grad * normal
        of_weight = product.flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        along = (product @ weight).unsqueeze(-1).div_(C)
        of_x = (grad * weight).addcmul_(normal, along, value=-1).mul_(scale)
        return of_x, of_weight, None
