"""Run under torchrun: prints for each family how far Muon on shards is from that on whole tensors.

`python -m torch.distributed.run --nproc-per-node=2 sharded_muon.py`. Three steps each.
"""

import copy
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from model_shapes import FAMILY_SHAPES

from tuillm.config import build_train
from tuillm.model import GPT
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.distributed.sharded_model import gather_weights, shard_model
from tuillm.training.distributed.sharded_optimizer import ShardedOptimizer
from tuillm.training.optimizer import Optimizer


def distance(name, ranks):
    """The largest difference between weights, and between what the optimizers keep."""
    settings = build_train({"preset": "nano", "grad_clip": 0.0, "muon_weight_decay": 0.3})
    model, generator = GPT(FAMILY_SHAPES[name]), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    learner = shard_model(model, ranks, torch.device("cpu")).train()
    ours = ShardedOptimizer(learner, settings, ranks, torch.float32)
    plain = Optimizer(whole := copy.deepcopy(model).train(), settings, dtype=torch.float32)
    idx = torch.randint(60, (2, 20), generator=generator)
    for _ in range(3):
        for each, optimizer in ((learner, ours), (whole, plain)):
            optimizer.zero_grad()
            each.loss(idx, idx.roll(-1, 1)).backward()
            optimizer.step(1.0)
    gather_weights(learner, model)
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = [
        *zip(model.parameters(), whole.parameters(), strict=True)
    ]
    state, wanted = ours.state(), plain.state()
    pairs += [(state[key], wanted[key]) for key in wanted]
    ours.load_state(wanted)
    return max(float((a - b).abs().max()) for a, b in pairs)


if __name__ == "__main__":
    ranks = Ranks.join("cpu")
    found = {name: distance(name, ranks) for name in ("gpt2", "llama", "qwen2", "qwen3")}
    if ranks.leads:
        print(json.dumps(found), flush=True)
    ranks.leave()
