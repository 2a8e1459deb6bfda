"""Forward and backward over the windows of one optimizer step, in parts that the memory holds.

Knows the model, its batches and its optimizer's gradients, and in what scale and by what code they
are computed; takes no step.
"""

import math
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.model import GPT
from tuillm.model.chunked_loss import IGNORED
from tuillm.training.batches import Batches
from tuillm.training.compiled_step import CompiledBlocks
from tuillm.training.distillation import Teachers
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.hardware import autocast, is_out_of_memory
from tuillm.training.loss_scaling import LossScaling
from tuillm.training.optimizer import Optimizer

if TYPE_CHECKING:
    from tuillm.training.distributed.sharded_optimizer import ShardedOptimizer


class Gradients:
    """Fills the optimizer's gradients, each batch in micro-batches of `micro_batch` windows.

    Where the memory runs out, the micro-batch is halved and the step computed again: the gradients
    are those of the whole batch all the same.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: GPT,
        batches: Batches,
        optimizer: "Optimizer | ShardedOptimizer",
        device: torch.device,
        dtype: torch.dtype,
        ranks: Ranks,
        teachers: Teachers | None = None,
    ) -> None:
        """With `teachers` the loss is how far the model is from them, and from the text."""
        self._config, self._model, self._ranks = config, model, ranks
        self._teachers = teachers
        self._batches, self._optimizer = batches, optimizer
        self._device, self._dtype = device, dtype
        self._sharded = config.shard and ranks.together
        self.blocks, self.scaling = CompiledBlocks(model), LossScaling(dtype == torch.float16)
        self.micro_batch = config.batch_size
        self.slowest: tuple[int, float] | None = None  # the rank, and its share of the mean

    @property
    def reduced(self) -> int | None:
        """The micro-batch, where the memory does not hold a whole batch."""
        return self.micro_batch if self.micro_batch < self._config.batch_size else None

    def accumulate(self) -> Tensor:
        """Take the batches of a step; return their mean loss, detached.

        Of several ranks each computes a part, and all get the whole. Raises TuillmError where not
        even a single window fits into the memory.
        """
        batches, begun = self._next(self._config.grad_accum_steps), time.perf_counter()
        random, compiled = torch.get_rng_state(), self.blocks.on
        while (loss := self._try(batches)) is None:
            self._halve()
            torch.set_rng_state(random)
        if self._ranks.together:
            float(loss)  # what a GPU was asked to do is done only now
            self.slowest = self._ranks.slowest(time.perf_counter() - begun)
        if compiled and not self._ranks.all_agree(self.blocks.on):
            self.blocks.fail()
        self._ranks.sum(loss, *self._optimizer.grads)
        return loss

    def pass_alone(self) -> float:
        """Compute one batch, which changes nothing; return its loss, or that of this rank's part.

        Where weights are spread over the ranks, all of them have to.
        """
        batches = self._next(1)
        while (loss := self._try(batches, alone=True)) is None:
            self._halve()
        return float(loss)

    def _next(self, count: int) -> list[tuple[Tensor, Tensor]]:
        return [self._batches.next(self._device) for _ in range(count)]

    def _try(self, batches: list[tuple[Tensor, Tensor]], *, alone: bool = False) -> Tensor | None:
        """Return the loss, or None where the memory ran out, in whichever rank."""
        loss = None
        try:
            loss = (self._pass_all if alone else self._pass_compiled)(batches)
        except (RuntimeError, MemoryError) as error:
            if self._sharded or not is_out_of_memory(error):
                raise
        # only here no traceback holds what was computed any more
        return loss if alone or self._ranks.all_agree(loss is not None) else None

    def _pass_compiled(self, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute by compiled code where that is on, and eagerly where it fails."""
        if not self.blocks.on:
            return self._pass_all(batches)
        random = torch.get_rng_state()
        try:
            with self.blocks.used():
                return self._pass_all(batches)
        except Exception as error:  # whatever a compiler may raise
            if is_out_of_memory(error):
                raise
            self.blocks.fail(error)
        torch.set_rng_state(random)
        return self._pass_all(batches)

    def _pass_all(self, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._device)
        parts = [part for batch in batches for part in self._parts(*batch)]
        for number, (part, share) in enumerate(parts, start=1):
            if self._sharded:
                self._hold_gradients(number < len(parts))
            with autocast(self._device, self._dtype):
                loss = self._loss(*part) * share / len(batches)
            # sharded gradients are averaged over the ranks, and are to be summed
            whole = loss * self._ranks.size if self._sharded else loss
            self.scaling.scaled(whole).backward()
            total += loss.detach()
        return total

    def _loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        if self._teachers is None:
            return self._model.loss(idx, targets)
        return self._teachers.loss(self._model, idx, targets)

    def _parts(self, idx: Tensor, targets: Tensor) -> list[tuple[tuple[Tensor, Tensor], float]]:
        """Cut a batch into micro-batches, each with its share of the tokens that count.

        Of several ranks this one has its windows of each batch.
        """
        if self.micro_batch >= len(idx) and not self._ranks.together:
            return [((idx, targets), 1.0)]
        whole = max(int((targets != IGNORED).sum()), 1)
        begin, end = (
            len(idx) * rank // self._ranks.size for rank in (self._ranks.rank, self._ranks.rank + 1)
        )
        mine = zip(
            idx[begin:end].split(self.micro_batch),
            targets[begin:end].split(self.micro_batch),
            strict=True,
        )
        counted = [(part, int((part[1] != IGNORED).sum())) for part in mine]
        if not self._sharded:
            return [(part, count / whole) for part, count in counted if count]
        # ranks that gather weights together compute as many parts, some of them for nothing
        most = math.ceil(math.ceil(len(idx) / self._ranks.size) / self.micro_batch)
        nothing = (idx[:1], torch.full_like(targets[:1], IGNORED))
        counted += [(nothing, 0)] * (most - len(counted))
        return [(part, count / whole) for part, count in counted]

    def _hold_gradients(self, hold: bool) -> None:
        from tuillm.training.distributed.sharded_model import hold_gradients

        hold_gradients(self._model, hold)

    def _halve(self) -> None:
        if self.micro_batch == 1:
            raise TuillmError(
                "the memory does not hold a single window of the text",
                f"try a lower block_size ({self._config.block_size}) or a smaller model",
            )
        self.micro_batch = (self.micro_batch + 1) // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
