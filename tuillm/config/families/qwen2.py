"""Qwen 2 and 2.5 in a Hugging Face folder: Llama with biases on queries, keys and values."""

from typing import Any

from tuillm.config.families import llama
from tuillm.config.families.checks import Values, Where
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError
from tuillm.formats.json_text import JsonObject

MODEL_TYPE = "qwen2"
ARCHITECTURES = ("Qwen2ForCausalLM",)
PREFIX, NEXT_LAYER, IGNORED = llama.PREFIX, llama.NEXT_LAYER, llama.IGNORED
LORA_TARGETS, LORA_DEFAULT, DROPOUT = llama.LORA_TARGETS, llama.LORA_DEFAULT, llama.DROPOUT
tensors = llama.tensors


def shape(found: JsonObject, where: Where) -> GPTConfig:
    """Return the shape that a parsed `config.json` tells of; see `llama.shape`."""
    values = Values(found, where)
    refuse_windows(values)
    return llama.gated_decoder(values, family=MODEL_TYPE, qkv_bias=True)


def new_shape(**sizes: Any) -> GPTConfig:
    """There are no new models of this family: raises TuillmError.

    Whatever a folder's files say, transformers cuts the texts of a qwen2 as Qwen does, and the
    tokenizers that are trained here cut otherwise.
    """
    raise TuillmError("a new model cannot be a qwen2", "qwen3 and llama can be new models")


def config_json(config: GPTConfig) -> JsonObject:
    """Return the `config.json` of a shape, without the ids of special tokens."""
    found = llama.gated_json(config, MODEL_TYPE, ARCHITECTURES) | {"use_sliding_window": False}
    del found["attention_bias"]
    if config.head_width * config.n_head == config.n_embd:
        del found["head_dim"]  # as Qwen's own folders have it
    return found


def refuse_windows(values: Values) -> None:
    """Raise TuillmError where some layer sees a part of the context only."""
    kinds = values.found.get("layer_types")
    full = not kinds or isinstance(kinds, list) and set(map(str, kinds)) == {"full_attention"}
    if values.found.get("use_sliding_window") or not full:
        raise TuillmError(f"{values.where} sets use_sliding_window, which tuillm does not compute")
