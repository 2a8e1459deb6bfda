"""A model whose weights and gradients are spread over the ranks: PyTorch's FSDP2.

Each rank has a part of every weight along its first dimension, and gathers a block's weights while
it computes with them. Knows models and ranks; knows no optimizer.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from tuillm.model import GPT
from tuillm.training.distributed.ranks import Ranks


def shard_model(model: GPT, ranks: Ranks, device: torch.device) -> GPT:
    """Return a copy of a model on `device` of which this rank has its part alone."""
    learner = copy.deepcopy(model).to(device)
    for parameter in learner.parameters():
        parameter.data = parameter.data.contiguous()  # frozen weights lie turned in their file
    mesh = init_device_mesh(device.type, (ranks.size,))
    for block in learner.h:
        fully_shard(block, mesh=mesh)
    fully_shard(learner, mesh=mesh)
    register_fsdp_forward_method(learner, "loss")
    return learner


def hold_gradients(learner: GPT, hold: bool) -> None:
    """Let the next backward passes keep their gradients here, or add them up over all ranks."""
    cast(FSDPModule, learner).set_requires_gradient_sync(not hold)


@torch.no_grad()
def gather_weights(learner: GPT, model: GPT) -> None:
    """Put the weights of all ranks together into a whole model; all ranks have to do it."""
    let_go(learner)
    whole = dict(model.named_parameters())
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            whole[name].copy_(whole_of(parameter))


@torch.no_grad()
def spread_weights(model: GPT, learner: GPT, ranks: Ranks) -> None:
    """Let this rank take its part of a whole model's weights."""
    let_go(learner)
    parts = dict(learner.named_parameters())
    for name, parameter in model.named_parameters():
        local_of(parts[name]).copy_(part_of(parameter, ranks))


def let_go(learner: GPT) -> None:
    """Let go of weights that were gathered for a forward pass without a backward pass."""
    for module in learner.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole_of(sharded: Tensor) -> Tensor:
    """Return a tensor put together from all ranks, all of which have to ask for it."""
    return cast(DTensor, sharded).full_tensor()


def local_of(sharded: Tensor) -> Tensor:
    """Return what this rank has of a tensor; to change it changes the tensor."""
    return cast(DTensor, sharded).to_local()


def part_of(whole: Tensor, ranks: Ranks) -> Tensor:
    """Return what a rank has of a whole tensor: a part of its rows, maybe none."""
    parts = whole.chunk(ranks.size)
    return parts[ranks.rank] if ranks.rank < len(parts) else whole[:0]


def grads_of(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return what this rank has of the gradients."""
    return [local_of(cast(Tensor, parameter.grad)) for parameter in parameters]
