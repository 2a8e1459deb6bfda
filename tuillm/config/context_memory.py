"""How much memory a context takes: keys and values of its positions, by a model's shape.

Knows numbers; builds nothing. What a cache really takes is within a few percent of it.
"""

from tuillm.config.gpt_config import GPTConfig

# positions of a context that nobody has asked for, of models that were made for more
DEFAULT_CONTEXT = 8192
# models that were made for more positions keep them in bfloat16 where their weights are in fewer
# bits than float32: from here on a step reads more of the cache than it saves by being exact
LONG_CONTEXT = 2048


def cache_item_bytes(config: GPTConfig, dtype: str) -> int:
    """The bytes of a number in the cache on CPUs, for weights in a precision."""
    return 2 if dtype != "float32" and config.block_size > LONG_CONTEXT else 4


def context_bytes(config: GPTConfig, positions: int, item_bytes: int) -> int:
    """The memory of so many positions: a key and a value a layer, for each head that has them."""
    return 2 * config.n_layer * config.kv_width * positions * item_bytes
