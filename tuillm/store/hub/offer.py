"""What a model of the hub is and takes, told before its weights are fetched.

Knows a plan, the shape in its `config.json`, this machine's disk and memory; draws nothing.
"""

import shutil
from dataclasses import dataclass

import psutil

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.store.hub.api import CONFIG, Plan, check_settings, look_up
from tuillm.store.hub.download import fetch_small
from tuillm.store.hub.hub_names import Source
from tuillm.store.hub.pull_checks import config_shape
from tuillm.store.hub.pull_folder import Pull, bytes_come, kept_plan, pull_of
from tuillm.store.paths import data_dir, ensure_dir
from tuillm.store.retry import retry_with_backoff

# bytes of memory a parameter takes in bfloat16, with the cache of a conversation
_BYTES_PER_PARAMETER = 2 * 1.15


@dataclass(frozen=True)
class Offer:
    """A model that can be pulled: what it is, and what it takes here, in bytes.

    `here` of the `size` has come before; `room` is what the disk has to have still, where parts
    become one file. `licence` is '' where its page tells none. `memory` is about what a chat takes
    in bfloat16.
    """

    plan: Plan
    shape: GPTConfig
    here: int
    free_disk: int
    free_memory: int

    @property
    def size(self) -> int:
        return self.plan.size

    @property
    def room(self) -> int:
        return room_for(self.plan, self.here)

    @property
    def memory(self) -> int:
        return int(self.shape.parameter_count * _BYTES_PER_PARAMETER)


def make_offer(plan: Plan, shape: GPTConfig, folder: Pull) -> Offer:
    """Return what a plan is and takes on this machine, now."""
    return Offer(
        plan,
        shape,
        sum(bytes_come(folder, file.name) for file in plan.files),
        shutil.disk_usage(ensure_dir(data_dir())).free,
        psutil.virtual_memory().available,
    )


def offer_of(source: Source, name: str = "") -> Offer:
    """Ask the hub what a pull of `source` as `name` would bring; its `config.json` is all it costs.

    Raises TuillmError for what cannot be had, and for a model that tuillm does not compute.
    """
    check_settings()
    folder = pull_of(name or source.name)

    def asked() -> Offer:
        plan = kept_plan(folder, source) or look_up(source)
        file = next((each for each in plan.files if each.name == CONFIG), None)
        if file is None:  # a kept plan that somebody has changed
            raise TuillmError(
                f"the plan of {source} has no {CONFIG}",
                f"start anew: tuillm pull {source} --discard",
            )
        cached = plan.cached(file)
        content = cached.read_bytes() if cached else fetch_small(plan, file, source)
        return make_offer(plan, config_shape(content, source), folder)

    return retry_with_backoff(asked, lambda: False, lambda came: None, lambda words: None)


def room_for(plan: Plan, here: int) -> int:
    """Return the bytes that the disk has to have free for the rest of a plan.

    Weights in several files become one, and lie there twice until then.
    """
    joined = sum(file.size for file in plan.weights) if len(plan.weights) > 1 else 0
    return max(plan.size - here, 0) + joined
