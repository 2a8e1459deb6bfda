"""How ranks prepare a run: the first of all, then the first of each machine, then the rest.

So each text is read and encoded once on a machine, and found in its cache by the others. Knows
ranks and setups; does not know how these are made.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuillm.training.distributed.ranks import Ranks

if TYPE_CHECKING:
    from tuillm.training.setup import Setup


def prepare_together(ranks: Ranks, resumes: bool, prepare: "Callable[[], Setup]") -> "Setup":
    """Return what `prepare` makes, with the first weights of rank 0.

    `resumes` tells the others whether the run goes on from its checkpoint.
    """
    if not ranks.together:
        return prepare()
    if ranks.leads or ranks.local_rank == 0:
        setup = prepare()
        ranks.tell("prepare", resumes=resumes, dtype=str(setup.dtype).removeprefix("torch."))
        ranks.wait_for_all()
    else:
        ranks.wait_for_all()
        setup = prepare()
    ranks.same_as_first(*setup.optimizer.values)
    return setup
