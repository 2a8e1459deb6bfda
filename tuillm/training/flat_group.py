"""Parameters in one buffer and their gradients in another, with bfloat16 copies where that pays.

A step of an optimizer is a handful of operations then, whatever the number of layers. Knows
tensors and linear layers; no rule of an optimizer.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tuillm.model.linear import Linear


class FlatGroup:
    """Parameters moved into one buffer `values`, their gradients into another, `grads`.

    The parameters remain usable as before: they become views of the buffer.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        first = self._parameters[0] if self._parameters else torch.empty(0)
        length = sum(parameter.numel() for parameter in self._parameters)
        self.values = torch.empty(length, dtype=first.dtype, device=first.device)
        self.grads = torch.zeros_like(self.values)
        self._shadow: Tensor | None = None
        self._zeroed = [self.grads]
        for parameter, values, grads in zip(
            self._parameters, self._views(self.values), self._views(self.grads), strict=True
        ):
            # one after the other: what a parameter was before is free for what follows
            values.copy_(parameter.detach())
            parameter.data, parameter.grad = values, grads

    def shadow(self, layers: list[Linear]) -> None:
        """Give those layers whose weights are in this group a copy of them in bfloat16.

        Their gradients are written by the backward pass, and need not be zero before it.
        """
        theirs: dict[int, list[Linear]] = {}
        for layer in layers:
            theirs.setdefault(id(layer.weight), []).append(layer)
        self._shadow, self._zeroed = self.values.bfloat16(), []
        for parameter, copy, grads in zip(
            self._parameters, self._views(self._shadow), self._views(self.grads), strict=True
        ):
            for layer in theirs.get(id(parameter), []):
                layer.bf16_shadow = copy
            if id(parameter) not in theirs:
                self._zeroed.append(grads)

    def refresh(self) -> None:
        """Bring the shadows up to date with the values."""
        if self._shadow is not None:
            self._shadow.copy_(self.values)

    def zero(self) -> None:
        """Set the gradients to zero, in place, but for those that the backward pass replaces."""
        for grads in self._zeroed:
            grads.zero_()

    def _views(self, buffer: Tensor) -> list[Tensor]:
        parts = buffer.split([parameter.numel() for parameter in self._parameters])
        return [
            part.view(parameter.shape)
            for part, parameter in zip(parts, self._parameters, strict=True)
        ]
