"""In words, what memory the contexts of a model take, by its shape. Knows numbers; no model."""

from tuillm.config.context_memory import cache_item_bytes, context_bytes
from tuillm.config.gpt_config import LARGE_MODEL, GPTConfig
from tuillm.units import size

_TOLD = (8192, 32_768)


def context_words(config: GPTConfig, item_bytes: int | None = None) -> str:
    """Return what 8,192 and 32,768 positions take, or all that a model has where it has fewer.

    `item_bytes` are those of a number of the cache; None: of the precision in which a CPU computes
    replies where memory allows.
    """
    if item_bytes is None:
        large = config.parameter_count >= LARGE_MODEL
        item_bytes = cache_item_bytes(config, "bfloat16" if large else "float32")
    told = sorted({min(positions, config.block_size) for positions in _TOLD})
    return ", ".join(
        f"{size(context_bytes(config, positions, item_bytes))} for {positions:,} positions"
        for positions in told
    )
