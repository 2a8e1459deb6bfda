"""Forward and backward over the windows of one optimizer step, in parts that the memory holds.

Knows the model, its batches and its optimizer's gradients; takes no step.
"""

import torch
from torch import Tensor

from tuillm.config import TrainConfig
from tuillm.errors import TuillmError
from tuillm.model import GPT
from tuillm.model.chunked_loss import IGNORED
from tuillm.training.batches import Batches
from tuillm.training.hardware import autocast, is_out_of_memory
from tuillm.training.optimizer import Optimizer


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
        optimizer: Optimizer,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._config, self._model = config, model
        self._batches, self._optimizer = batches, optimizer
        self._device, self._dtype = device, dtype
        self.micro_batch = config.batch_size

    def accumulate(self, count: int | None = None) -> Tensor:
        """Take the next `count` batches (grad_accum_steps); return their mean loss, detached.

        Raises TuillmError where not even a single window fits into the memory.
        """
        count = self._config.grad_accum_steps if count is None else count
        batches = [self._batches.next(self._device) for _ in range(count)]
        random = torch.get_rng_state()
        while True:
            self._optimizer.zero_grad()
            try:
                return self._pass_all(batches)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._halve()  # only here, where no traceback holds what was computed any more
            torch.set_rng_state(random)

    def _pass_all(self, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        total = torch.zeros((), device=self._device)
        for idx, targets in batches:
            for part, share in self._parts(idx, targets):
                with autocast(self._device, self._dtype):
                    loss = self._model.loss(*part) * share / len(batches)
                loss.backward()
                total += loss.detach()
        return total

    def _parts(self, idx: Tensor, targets: Tensor) -> list[tuple[tuple[Tensor, Tensor], float]]:
        """Cut a batch into micro-batches, each with its share of the tokens that count."""
        if self.micro_batch >= len(idx):
            return [((idx, targets), 1.0)]
        parts = list(zip(idx.split(self.micro_batch), targets.split(self.micro_batch), strict=True))
        counts = [int((wanted != IGNORED).sum()) for _, wanted in parts]
        whole = max(sum(counts), 1)
        return [
            (part, count / whole) for part, count in zip(parts, counts, strict=True) if count
        ] or [(parts[0], 1.0)]

    def _halve(self) -> None:
        if self.micro_batch == 1:
            raise TuillmError(
                "the memory does not hold a single window of the text",
                f"try a lower block_size ({self._config.block_size}) or a smaller model",
            )
        self.micro_batch = (self.micro_batch + 1) // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
