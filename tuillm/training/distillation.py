"""Distillation: a model learns what its teachers predict, beside what stands in the text.

The teachers' predictions are averaged, as an ensemble's are (Hinton et al. 2015, arXiv:1503.02531;
on little text: Kim et al. 2025, arXiv:2509.14786). Knows models and losses; takes no step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tuillm.model import GPT
from tuillm.model.chunked_loss import IGNORED

_PREFIX = "teacher."
# of the loss, what the teachers' predictions count; the text has the rest
WEIGHT = 0.7


class Teachers:
    """Models that no longer learn, and whose average prediction is learned from."""

    def __init__(self, models: list[GPT]) -> None:
        self.models = [model.eval().requires_grad_(False) for model in models]

    def loss(self, model: GPT, idx: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss in nats per token of ids [B, T] against targets [B, T].

        WEIGHT of it is the cross-entropy to the teachers' average, who read the same ids, the rest
        that to the targets. IGNORED ones do not count.
        """
        wanted = targets.flatten() != IGNORED
        if not bool(wanted.any()):
            return model.loss(idx, targets)
        predicted = self._average(idx)[wanted]
        logits = model(idx).flatten(0, 1)[wanted].float()
        soft = F.cross_entropy(logits, predicted)
        hard = F.cross_entropy(logits, targets.flatten()[wanted])
        return WEIGHT * soft + (1 - WEIGHT) * hard

    @torch.no_grad()
    def _average(self, idx: Tensor) -> Tensor:
        """Return the teachers' mean probabilities [B T, V]."""
        total = torch.softmax(self.models[0](idx), -1)
        for model in self.models[1:]:
            total += torch.softmax(model(idx), -1)
        return total.div_(len(self.models)).flatten(0, 1)

    def state(self) -> dict[str, Tensor]:
        """Return the teachers' weights, for a checkpoint."""
        return {
            f"{_PREFIX}{number}.{name}": weight
            for number, model in enumerate(self.models)
            for name, weight in model.named_parameters()
        }

    @classmethod
    def load(cls, state: dict[str, Tensor], like: GPT, count: int) -> "Teachers":
        """Return the `count` teachers of a checkpoint, of the shape and on the device of a model.

        Raises KeyError where one is missing.
        """
        models = []
        for number in range(count):
            model = GPT(like.config).to(like.device)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(state[f"{_PREFIX}{number}.{name}"])
            models.append(model)
        return cls(models)


def copy_of(model: GPT) -> GPT:
    """Return a model of the same weights, which do not change with it."""
    copied = GPT(model.config).to(model.device)
    copied.load_state_dict({name: each.detach() for name, each in model.state_dict().items()})
    return copied
