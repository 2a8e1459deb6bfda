"""Shapes of models: tiny ones of each family, and those to start from as a registry tells them."""

from collections.abc import Callable
from typing import Any

from tuillm.config.gpt_config import GPTConfig
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


_GATED: dict[str, Any] = dict(
    bias=False, head_dim=8, n_inner=40, rms_norm=True, gated_mlp=True, rope_theta=1e4
)
# vocabulary 60, context 32, 2 layers of 4 heads and width 24; where heads are 8 wide, they are
# wider together than the model
FAMILY_SHAPES: dict[str, GPTConfig] = {
    "gpt2": GPTConfig(60, 32, 2, 4, 24),
    "gpt2 untied, no biases": GPTConfig(60, 32, 2, 4, 24, bias=False, tie_weights=False),
    "bigram": GPTConfig(60, 32, 0, 4, 24, tie_weights=False),
    "llama": GPTConfig(60, 32, 2, 4, 24, family="llama", n_kv_head=2, **_GATED),
    "llama untied": GPTConfig(
        60, 32, 2, 4, 24, family="llama", tie_weights=False, n_kv_head=1, **_GATED
    ),
    "llama, no groups": GPTConfig(60, 32, 2, 3, 24, family="llama", **_GATED),
    "qwen2": GPTConfig(60, 32, 2, 4, 24, family="qwen2", n_kv_head=2, qkv_bias=True, **_GATED),
    "qwen3": GPTConfig(60, 32, 2, 4, 24, family="qwen3", n_kv_head=2, qk_norm=True, **_GATED),
}
