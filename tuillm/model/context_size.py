"""How many positions a conversation has: as asked for, else as the model was made for and memory
allows. Knows shapes and bytes; knows no model and no cache.
"""

import torch

from tuillm.config.context_memory import DEFAULT_CONTEXT, cache_item_bytes, context_bytes
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, UsageError, brief
from tuillm.model.kernel_choice import choose_kernel
from tuillm.model.precision import free_memory
from tuillm.units import size

# of the memory that is free, and positions that are taken together
_SHARE, _TOGETHER = 0.9, 256


def choose_context(
    wanted: int | None, config: GPTConfig, item_bytes: int, free: int
) -> tuple[int, str]:
    """Return the number of positions, and in words why the model was made for more, or "".

    Without `wanted` it is the model's own, 8,192 at most, and what fits into `free` bytes. Raises
    UsageError for a number that the model was not made for, and TuillmError for one that needs
    more memory than there is.
    """
    most, each = config.block_size, max(1, context_bytes(config, 1, item_bytes))
    fitting = max(_TOGETHER, int(_SHARE * free) // each // _TOGETHER * _TOGETHER)
    if wanted is None:
        usual = min(most, DEFAULT_CONTEXT)
        if fitting < usual:
            return fitting, f"context of {fitting:,} of {most:,} positions: memory"
        more = "" if usual == most else "--context N takes more"
        return usual, more and f"context of {usual:,} of {most:,} positions: {more}"
    if type(wanted) is not int or not 1 <= wanted <= most:
        raise UsageError(
            f"the context cannot be {brief(wanted)}",
            f"allowed: 1 to {most:,}, the positions that the model was made for",
        )
    if wanted > fitting:
        raise TuillmError(
            f"a context of {wanted:,} positions takes {size(wanted * each)} of memory, "
            f"and {size(free)} are free",
            f"--context {fitting} would fit" if fitting * each <= free else "",
        )
    return wanted, ""


def cache_memory(config: GPTConfig, dtype: torch.dtype, device: torch.device) -> tuple[int, int]:
    """Return the bytes of a number of the cache, and those of memory that the weights leave free.

    To be asked before they are loaded.
    """
    free = max(0, free_memory(device) - config.parameter_count * dtype.itemsize)
    if device.type != "cpu":
        return dtype.itemsize, free
    name = str(dtype).removeprefix("torch.")
    kernel = choose_kernel(config, name)
    native = kernel is not None and kernel.name == "native"
    return (cache_item_bytes(config, name) if native else 4), free
