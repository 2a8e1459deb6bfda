"""What a model to start from decides about a run. Knows numbers and names; knows no folder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """The settings that a model to start from decides; the sizes are those of GPTConfig.

    `init_from` is its name, or its folder's absolute path; `tokenizer` is None where nothing tells
    the kind.
    """

    init_from: str
    arch: str
    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    tie_weights: bool
    tokenizer: str | None
