"""What a checkpoint keeps of the parts of a run: of optimizer, average, batches and gradients.

Knows the parts; knows neither how far the run is nor a file.
"""

import torch
from torch import Tensor

from tuillm.model import GPT
from tuillm.model.lora import adapter_state, load_adapter_state
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.init_model import copy_weights
from tuillm.training.setup import Setup
from tuillm.training.trainer_state import SetupState


def setup_state(setup: Setup) -> tuple[dict[str, Tensor], SetupState]:
    """Return tensors and numbers from which `load_setup_state` goes on exactly (model apart)."""
    tensors = setup.optimizer.state() | {"rng": torch.get_rng_state()}
    with setup.average.used():
        tensors |= adapter_state(setup.model)
    return tensors | setup.average.state(), {
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
    setup.optimizer.load_state(tensors)
    setup.average.load_state(tensors, int(numbers.get("averaged_steps", 0)))
    setup.batches.seek(int(numbers["epoch"]), int(numbers["position"]))
    micro_batch = int(numbers.get("micro_batch", config.batch_size))
    setup.gradients.micro_batch = min(max(micro_batch, 1), config.batch_size)
    setup.gradients.scaling.load_state(numbers)
    setup.compile_choice.load_state(numbers)
