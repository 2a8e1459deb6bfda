"""Shapes of models to start from, as a registry would tell them."""

from collections.abc import Callable

from tuillm.config.model_shape import ModelShape


def shapes(width: int, context: int) -> Callable[[str], ModelShape]:
    """A lookup: `gpt2` is 768 wide with a context of 1,024, all others as told."""

    def shape_of(name: str) -> ModelShape:
        wide, long = (768, 1024) if name == "gpt2" else (width, context)
        return ModelShape(
            init_from=name,
            arch="gpt2",
            n_layer=5,
            n_head=4,
            n_embd=wide,
            vocab_size=1024,
            block_size=long,
            tie_weights=True,
            tokenizer="bpe",
        )

    return shape_of
