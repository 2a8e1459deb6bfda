"""What a checkpoint keeps of the parts of a run: of optimizer, average, batches and gradients.

Knows the parts; knows neither how far the run is nor a file.
"""

import torch
from torch import Tensor, nn

from tuillm.model import GPT
from tuillm.model.lora import adapter_state, load_adapter_state
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.init_model import copy_weights
from tuillm.training.setup import Setup
from tuillm.training.trainer_state import SetupState

_RAW = "raw."


def setup_state(setup: Setup, ranks: Ranks) -> tuple[dict[str, Tensor], SetupState]:
    """Return tensors and numbers from which `load_setup_state` goes on exactly (model apart).

    Where weights are averaged, the model of a checkpoint is the average, and the weights that
    training goes on with are among the tensors.
    """
    setup.collect(ranks)
    # what several ranks have put together is put together again, of the average
    tensors = {
        f"{_RAW}{name}": weight.detach().clone() if ranks.together else weight.detach()
        for name, weight in _learned(setup)
    }
    ranks.tell("state")
    tensors |= setup.optimizer.state() | {"rng": torch.get_rng_state()}
    with setup.average.used():
        if setup.average.on:
            setup.collect(ranks)
        tensors |= adapter_state(setup.model)
    return tensors, {
        "epoch": setup.batches.epoch,
        "position": setup.batches.position,
        "micro_batch": setup.gradients.micro_batch,
        "averaged_steps": setup.average.steps,
        **setup.gradients.scaling.state(),
        **setup.compile_choice.state(),
    }


def load_setup_state(
    setup: Setup, ranks: Ranks, model: GPT, tensors: dict[str, Tensor], numbers: SetupState
) -> None:
    """Go on from a checkpoint and its `model`; older ones know less.

    Raises KeyError or RuntimeError where it is of another model.
    """
    config = setup.config
    if config.lora:
        load_adapter_state(setup.model, tensors, setup.dtype)
    else:
        copy_weights(model, setup.model)
    torch.set_rng_state(tensors.pop("rng"))
    setup.spread(ranks)
    setup.average.begin(int(numbers.get("averaged_steps", 0)))
    _load_raw(setup, ranks, tensors)
    setup.optimizer.load_state(tensors)
    setup.batches.seek(int(numbers["epoch"]), int(numbers["position"]))
    micro_batch = int(numbers.get("micro_batch", config.batch_size))
    setup.gradients.micro_batch = min(max(micro_batch, 1), config.batch_size)
    setup.gradients.scaling.load_state(numbers)
    setup.compile_choice.load_state(numbers)


def raw_bytes(setup: Setup) -> int:
    """Return how many bytes the weights take that a checkpoint has beside their average."""
    return sum(weight.nbytes for _, weight in _learned(setup))


def _learned(setup: Setup) -> list[tuple[str, nn.Parameter]]:
    """The weights that learn and are averaged, by name."""
    named = setup.model.named_parameters() if setup.average.on else ()
    return [(name, parameter) for name, parameter in named if parameter.requires_grad]


@torch.no_grad()
def _load_raw(setup: Setup, ranks: Ranks, tensors: dict[str, Tensor]) -> None:
    """Go on with the weights of the last step, where the checkpoint has them."""
    for name, weight in _learned(setup):
        if (raw := tensors.get(f"{_RAW}{name}")) is not None:
            weight.copy_(raw)
    setup.spread(ranks)
