"""Settings that take names of a fixed set: which there are, and how they may be typed.

Knows the names; does not know what they stand for.
"""

from typing import Literal

# the families of models, as `config.families` has them
Architecture = Literal["gpt2", "llama", "qwen2", "qwen3"]
# among the names of layers: every linear layer of the blocks
ALL_LAYERS = "all"
LoggerName = Literal["tensorboard", "wandb", "trackio", "csv"]


def typed_loggers(value: object) -> object:
    """Return the names in a value; `none` stands for no logger."""
    return () if value in ("none", "", ("none",), ["none"]) else _names(value)


def typed_targets(value: object) -> object:
    """Return the names in a value; None, which `auto` stands for, is the family's usual ones."""
    return None if value in ("auto", ("auto",), ["auto"]) else _names(value)


def _names(value: object) -> object:
    """Names may be divided by commas; what is no text stays as it is, to be refused."""
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        return value
    return tuple(dict.fromkeys(name.strip() for each in given for name in each.split(",")))
