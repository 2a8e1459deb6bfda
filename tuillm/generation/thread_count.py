"""How many threads a reply is computed on, in tuillm's own programs.

Each token passes some fifty parallel regions. Of a small model they are too brief to be divided;
beside a training run each waits for a thread that the scheduler has taken away, and on one thread
a chat is as fast as it was alone. The number of threads belongs to a whole process: nothing is
changed before `adapt` was called, which a program does and a library never.
"""

import os

import torch

from tuillm.model import Decoder
from tuillm.model.malloc import allow_tuning
from tuillm.store.workers.training_activity import Activity

# parameters up to which a second thread gains nothing
_SMALL = 4_000_000

_activity = Activity()
_most: int | None = None  # the threads there are; None: not ours to decide


def adapt() -> None:
    """From now on let each reply of this process be computed on the threads that suit it.

    A program of ours says so; it may set the allocator as well.
    """
    global _most
    if _most is None:
        _most = torch.get_num_threads()
    allow_tuning()


def is_ours() -> bool:
    """Whether this process is a program of ours: `adapt` was called."""
    return _most is not None


def choose_for(model: Decoder) -> int | None:
    """Return on how many threads a reply of a model is computed; None: that is not ours to say."""
    if _most is None or _most == 1 or model.device.type != "cpu":
        return None
    return choose(model.config.parameter_count, _most, model.threads)


def choose(parameters: int, most: int, measured: int | None = None) -> int:
    """Return how many of `most` threads suit a model: one beside other work.

    On an idle machine as many as were `measured` to be fastest, else all but for small models.
    """
    if not is_alone():
        return 1
    if measured:
        return min(measured, most)
    return 1 if parameters <= _SMALL else most


def is_alone() -> bool:
    """Whether nothing else computes on this machine's processors."""
    return not _activity.training() and not _crowded()


def _crowded() -> bool:
    """Whether more wants to run than there are processors; this program alone never is more."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5
    except OSError:  # a system that does not tell
        return False
