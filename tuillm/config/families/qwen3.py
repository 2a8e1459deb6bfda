"""Qwen 3 in a Hugging Face folder: Llama with RMSNorm on each head of queries and keys."""

from typing import Any

from tuillm.config.families import llama
from tuillm.config.families.checks import Values, Where
from tuillm.config.families.qwen2 import refuse_windows
from tuillm.config.gpt_config import GPTConfig
from tuillm.formats.json_text import JsonObject

MODEL_TYPE = "qwen3"
ARCHITECTURES = ("Qwen3ForCausalLM",)
PREFIX, NEXT_LAYER, IGNORED = llama.PREFIX, llama.NEXT_LAYER, llama.IGNORED
LORA_TARGETS, LORA_DEFAULT, DROPOUT = llama.LORA_TARGETS, llama.LORA_DEFAULT, llama.DROPOUT
tensors = llama.tensors


def shape(found: JsonObject, where: Where) -> GPTConfig:
    """Return the shape that a parsed `config.json` tells of; see `llama.shape`."""
    values = Values({"head_dim": 128} | found, where)
    values.refuse(("attention_bias",))
    refuse_windows(values)
    return llama.gated_decoder(values, family=MODEL_TYPE, qk_norm=True)


def new_shape(*, bias: bool, **sizes: Any) -> GPTConfig:
    """Return the shape of a new model of these sizes; see `llama.new_gated_decoder`."""
    return llama.new_gated_decoder(family=MODEL_TYPE, qk_norm=True, **sizes)


def config_json(config: GPTConfig) -> JsonObject:
    """Return the `config.json` of a shape, without the ids of special tokens."""
    return llama.gated_json(config, MODEL_TYPE, ARCHITECTURES) | {"use_sliding_window": False}
