"""What a GGUF file's entries say of a model's shape, as the `config.json` of its family.

Every entry of an architecture is either read here or refused by name, unless it is zero: what is
not known might change the arithmetic. Knows llama.cpp's keys; knows no tokenizer.
"""

from typing import Any

import numpy as np
import torch

from tuillm.config.families import shape_of_config
from tuillm.config.gpt_config import GPTConfig
from tuillm.convert.gguf_names import (
    ARCHITECTURES,
    EMBEDDING,
    HEAD_WIDTH_KEYS,
    ROPE_FREQS,
    SHAPE_KEYS,
)
from tuillm.convert.gguf_reading import GGUFFile
from tuillm.convert.gguf_rope import rope_scaling
from tuillm.convert.gguf_weights import is_tied, learned_positions, vector
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

# what a file may leave out
_OPTIONAL = {
    "feed_forward_length": "gpt2",
    "attention.head_count_kv": "",
    "attention.key_length": "",
    "rope.freq_base": "",
}
# read beside the others, or without a meaning for the arithmetic; true and 1.0 are defaults
_LOOKED_AT = (*HEAD_WIDTH_KEYS, "rope.scaling.type")
_HARMLESS = (
    "vocab_size",
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
)
_NEUTRAL = {"attention.causal": True, "rope.scaling.factor": 1.0, "rope.scale_linear": 1.0}


def shape_of_gguf(file: GGUFFile) -> GPTConfig:
    """Return the shape of the model in a file.

    Raises TuillmError for an architecture that tuillm does not compute, for a switch that it does
    not, and for values that no model can have.
    """
    family = file.text("general.architecture")
    if family not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise TuillmError(f"{file.path} is of architecture {brief(family)}; tuillm reads {known}")
    told = {
        key.removeprefix(f"{family}."): _plain(value)
        for key, value in file.entries.items()
        if key.startswith(f"{family}.")
    }
    keys = SHAPE_KEYS[family]
    _refuse_unknown(file, family, told, keys)
    found: JsonObject = {"model_type": family, "tie_word_embeddings": is_tied(file)}
    for key, name in keys.items():
        if key in told:
            found[name] = told[key]
        elif key not in _OPTIONAL:
            raise TuillmError(f"{file.path} is damaged: {family}.{key} is missing")
    embedding = file.tensors.get(EMBEDDING)
    if embedding is None:
        raise TuillmError(f"{file.path} is damaged: {EMBEDDING} is missing")
    found["vocab_size"] = embedding.shape[0]
    if family == "gpt2":
        return shape_of_config(_with_own_positions(file, found), file.path)
    return _rotary_shape(file, told, found)


def _with_own_positions(file: GGUFFile, found: JsonObject) -> JsonObject:
    told = found["n_positions"]
    return found | {"n_positions": learned_positions(file, told) if type(told) is int else told}


def _rotary_shape(file: GGUFFile, told: dict[str, Any], found: JsonObject) -> GPTConfig:
    """Return the shape of a decoder with rotary positions, once their scaling is known."""
    family = found["model_type"]
    if "head_dim" not in found:  # by llama.cpp's default, which is not that of every family
        width, heads = found["hidden_size"], found["num_attention_heads"]
        if type(width) is int and type(heads) is int and heads:
            found["head_dim"] = width // heads
    config = shape_of_config(found, file.path)
    for key in HEAD_WIDTH_KEYS:
        if told.get(key, config.head_width) != config.head_width:
            raise TuillmError(
                f"{file.path} sets {family}.{key} {brief(told[key])} where a head is "
                f"{config.head_width} wide, which tuillm does not compute"
            )
    kind = told.get("rope.scaling.type", "none")
    factor = told.get("rope.scaling.factor", 1.0)
    if kind not in ("none", "", "llama3") and not (kind == "linear" and factor == 1.0):
        raise TuillmError(
            f"{file.path} wants rotary positions scaled as {brief(kind)}; tuillm computes llama3 "
            "only"
        )
    if ROPE_FREQS not in file.tensors:
        return config
    factors = vector(file, ROPE_FREQS)
    if not torch.isfinite(factors).all() or len(factors) != config.head_width // 2:
        raise TuillmError(f"{file.path} is damaged: {ROPE_FREQS} is none of a model of this shape")
    original = told.get("rope.scaling.original_context_length")
    scaling = rope_scaling(factors, config, original if type(original) is int else None)
    if scaling is None:
        raise TuillmError(
            f"{file.path} scales its rotary positions by {ROPE_FREQS} otherwise than Llama 3 does, "
            "which tuillm does not compute"
        )
    return shape_of_config(found | {"rope_scaling": scaling or None}, file.path)


def _refuse_unknown(
    file: GGUFFile, family: str, told: dict[str, Any], keys: dict[str, str]
) -> None:
    known = {*keys, *_LOOKED_AT, *_HARMLESS}
    scaled = {"rope.scaling.factor"} if told.get("rope.scaling.type") is not None else set()
    for key, value in told.items():
        if key in known or key in scaled:
            continue
        if value == _NEUTRAL[key] if key in _NEUTRAL else not value:
            continue
        raise TuillmError(
            f"{file.path} sets {brief(f'{family}.{key}')} {brief(value)}, which tuillm does not "
            "compute"
        )


def _plain(value: Any) -> Any:
    """Return a number as it was before it was stored in float32; a list that repeats one is it."""
    if isinstance(value, np.ndarray):
        same = len(value) and (value == value[0]).all()
        return _plain(value[0].item()) if same else value[:4].tolist()
    if isinstance(value, list):
        return value[:4]
    with np.errstate(over="ignore"):
        return float(str(np.float32(value))) if isinstance(value, float) else value
