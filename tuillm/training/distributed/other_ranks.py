"""What the other ranks of a run do: what rank 0 tells them, until it says that it is over.

Knows the trainer and the checkpoint that all begin from; writes nothing.
"""

from contextlib import nullcontext
from pathlib import Path

from tuillm.config import TrainConfig
from tuillm.formats.json_text import JsonObject
from tuillm.training.checkpoint import load_checkpoint
from tuillm.training.compute import compute_evaluation, compute_step
from tuillm.training.distributed.ranks import Ranks
from tuillm.training.trainer import Trainer


def follow(config: TrainConfig, ranks: Ranks, checkpoint: Path) -> None:
    """Do what rank 0 tells; `checkpoint` is the folder `last` of the run."""
    trainer = Trainer(config=config, ranks=ranks)
    while (told := ranks.hear())["do"] != "end":
        if told["do"] == "prepare":  # in the precision of rank 0, whatever was prepared before
            trainer = Trainer(
                config=config.model_copy(update={"dtype": told["dtype"]}), ranks=ranks
            )
            trainer.prepare(checkpoint if told["resumes"] else None)
        elif told["do"] == "load":
            load_checkpoint(trainer, checkpoint, changed_text=True)
        else:
            _compute(trainer, told)


def _compute(trainer: Trainer, told: JsonObject) -> None:
    setup, ranks = trainer.setup, trainer.ranks
    if told["do"] == "evaluate":
        compute_evaluation(setup, ranks, told["tokens"])
    elif told["do"] == "collect":
        with setup.average.used() if told["averaged"] else nullcontext():
            setup.collect(ranks)
    elif told["do"] == "state":
        setup.optimizer.state()
    elif told["do"] == "compute":
        setup.learner.train()
        setup.gradients.pass_alone()
    elif told["do"] == "step":
        setup.seek(told["epoch"], told["position"], told["micro_batch"], told["compiled"])
        setup.learner.train()
        compute_step(setup, ranks, told["step"], told["factor"])
