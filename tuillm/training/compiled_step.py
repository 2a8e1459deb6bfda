"""The blocks of a model in training, compiled by torch.compile when they are first used.

All blocks are of one shape and one program, so that one of them is compiled for all (regional
compilation), and the time does not grow with their number. The embedding, the head and its loss
stay eager, as do evaluations. Each size of a part of a batch is compiled once; after eight of them,
PyTorch's limit, others are computed eagerly. Knows a model; does not know whether compiling pays.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from tuillm.model import GPT
from tuillm.model.gpt import Block, compute_block
from tuillm.model.rotary import CosSin

_LONGEST = 160


class CompiledBlocks:
    """Computes the blocks of a model by compiled code while it is `on`, in training alone."""

    def __init__(self, model: GPT) -> None:
        self._model = model
        self._compiled: Callable[[Block, Tensor, CosSin | None], Tensor] | None = None
        self.on = False
        self.graphs = 0  # compiled so far, a forward and a backward pass each
        self.failure = ""  # why it could not be done

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the forward passes in the block use compiled code, if it is on."""
        self._model.compute_block = self._function() if self.on else compute_block
        try:
            yield
        finally:
            self._model.compute_block = compute_block

    def fail(self, error: BaseException | None = None) -> None:
        """Remember why it could not be done, here or (without an error) in another process."""
        self.on = False
        self.failure = self.failure or _words(error)

    def _function(self) -> Callable[[Block, Tensor, CosSin | None], Tensor]:
        if self._compiled is None:
            # PyTorch counts what it compiles of a code object, of which each run has its own
            own = FunctionType(compute_block.__code__.replace(), compute_block.__globals__)
            self._compiled = torch.compile(own, dynamic=False, backend=self._backend)
        return self._compiled

    def _backend(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        """TorchInductor, counted."""
        from torch._inductor.compile_fx import compile_fx

        self.graphs += 1
        return compile_fx(graph, inputs)


def _words(error: BaseException | None) -> str:
    """The innermost reason of an error, in a line."""
    if error is None:
        return "it failed in another process"
    while cause := getattr(error, "inner_exception", None) or error.__cause__:
        error = cause
    first = next(filter(str.strip, str(error).splitlines()), "").strip()
    name = type(error).__name__
    return f"{name}: {first}"[:_LONGEST] if first else name
