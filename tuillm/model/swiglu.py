"""The gate of a gated MLP: silu(gate) * up, of the two halves that one layer gives.

Shazeer 2020, arXiv:2002.05202. Knows the two passes, of which autograd would make more.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def swiglu(x: Tensor) -> Tensor:
    """Return silu(gate) * up [..., I] of x [..., 2 I], the gate first."""
    if x.requires_grad and not torch.compiler.is_compiling():
        y: Tensor = _Gated.apply(x)
        return y
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


class _Gated(torch.autograd.Function):
    """Both gradients are written where they lie side by side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate, up = x.chunk(2, -1)
        opened = F.silu(gate)
        ctx.save_for_backward(x, opened)
        return opened * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, opened = ctx.saved_tensors
        gate, up = x.chunk(2, -1)
        found = torch.empty_like(x, memory_format=torch.contiguous_format)
        of_gate, of_up = found.chunk(2, -1)
        torch.mul(grads[0], opened, out=of_up)
        torch.ops.aten.silu_backward.grad_input(grads[0] * up, gate, grad_input=of_gate)
        return found
