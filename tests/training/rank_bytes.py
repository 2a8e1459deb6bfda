"""Run under torchrun: prints what rank 0 really has of a model, and what it really communicates.

`python -m torch.distributed.run --nproc-per-node=2 rank_bytes.py PRESET OPTIMIZER HOW`: several
processes have shards, or all of it where HOW is ddp. The object printed is that of
`rank_memory.state_bytes`, and under `calls` the bytes that a step of two passes hands to each kind
of collective.
"""

import json
import sys
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tuillm.config import build_train
from tuillm.config.gpt_config import GPTConfig
from tuillm.model import GPT
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.optimizer import Optimizer


def shape_of_preset(config, entries=50_257):
    """The shape that a preset has under a vocabulary of so many entries."""
    return GPTConfig(
        entries,
        config.block_size,
        config.n_layer,
        config.n_head,
        config.n_embd,
        bias=config.bias,
        tie_weights=config.tie_weights,
    )


def bytes_of(tensors):
    """The bytes of tensors, of those of a shard what is here."""
    here = [each.to_local() if hasattr(each, "to_local") else each for each in tensors]
    return sum(each.numel() * each.element_size() for each in here)


class Calls(TorchDispatchMode):
    """Adds up the bytes of the largest tensor of each call to a collective."""

    def __init__(self):
        super().__init__()
        self.bytes = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if name.startswith("c10d"):
            largest = max(_sizes(args), default=0)
            self.bytes[name] = self.bytes.get(name, 0) + largest
        return func(*args, **(kwargs or {}))


def _sizes(value):
    if isinstance(value, torch.Tensor):
        yield value.numel() * value.element_size()
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _sizes(each)


def real_bytes(preset, optimizer, ranks, shard):
    """Take one real step on a few tokens; return the bytes of what is kept."""
    config = build_train({"preset": preset, "optimizer": optimizer})
    model = GPT(shape_of_preset(config))
    model.init_weights("random", torch.Generator().manual_seed(1))
    learner = model
    step: Any = Optimizer(model, config, ranks=ranks)
    if shard:
        from tuillm.training.distributed.sharded_model import shard_model
        from tuillm.training.distributed.sharded_optimizer import ShardedOptimizer

        learner = shard_model(model, ranks, torch.device("cpu"))
        step = ShardedOptimizer(learner, config, ranks, torch.float32)
    idx = torch.arange(9)[None]
    with Calls() as calls:
        for hold in (True, False):
            if shard:
                from tuillm.training.distributed.sharded_model import hold_gradients

                hold_gradients(learner, hold)
            learner.loss(idx[:, :-1], idx[:, 1:]).backward()
        ranks.sum(*step.grads)
    found = {
        "weights": bytes_of(learner.parameters()),
        "gradients": bytes_of(parameter.grad for parameter in learner.parameters()),
    }
    with calls:
        step.step(1.0)
    if shard:
        kept = [momentum for *_, momenta in step._muons for momentum in momenta]
        entries = step._adamw.state.values()
        kept += [entry[key] for entry in entries for key in ("exp_avg", "exp_avg_sq")]
    else:
        kept = [each for name, each in step.state().items() if not name.endswith(".step")]
    return found | {"optimizer": bytes_of(kept), "calls": calls.bytes}


if __name__ == "__main__":
    ranks = Ranks.join("cpu")
    found = real_bytes(sys.argv[1], sys.argv[2], ranks, ranks.together and sys.argv[3] != "ddp")
    if ranks.leads:
        print(json.dumps(found), flush=True)
    ranks.leave()
