"""What llama.cpp calls tensors, the numbers of a shape, and kinds of tokens, for both directions.

Knows names, and in which order llama.cpp has the rows of some tensors; knows neither values nor
files. The names are those of llama.cpp's `gguf-py/gguf/constants.py`.
"""

import torch
from torch import Tensor

from tuillm.config.gpt_config import GPTConfig

ROPE_FREQS = "rope_freqs.weight"
HEAD, EMBEDDING, POSITIONS = "output.weight", "token_embd.weight", "position_embd.weight"
PADDED_TO = 256  # a multiple of these learned positions is what llama.cpp looks up
PREFIX = "tokenizer.ggml."  # of all keys that tell of a tokenizer
CHAT_TEMPLATE = "tokenizer.chat_template"
# kinds of tokens, by GGUF's numbers
NORMAL, UNKNOWN, CONTROL, ADDED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BLANK = "\u2581"  # how a 'llama' tokenizer writes a blank
# control tokens that llama.cpp takes for ends of a reply by their names, whatever a file says
END_NAMES = (
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "</s>",
)

# by the family: names of tensors without `.weight` or `.bias`, and what numbers a layer
_GPT2_ENDS = {"token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f"}
_GPT2_PARTS = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
_LLAMA_ENDS = {"token_embd": "embed_tokens", "output_norm": "norm"}
_LLAMA_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GPT2 = _GPT2_ENDS, _GPT2_PARTS, "h"
_LLAMA = _LLAMA_ENDS, _LLAMA_PARTS, "layers"
_NAMES = {"gpt2": _GPT2, "llama": _LLAMA, "qwen2": _LLAMA, "qwen3": _LLAMA}
ARCHITECTURES = tuple(_NAMES)
# those whose heads of q and k llama.cpp turns as neighbours, not as halves
_NEIGHBOURS = {"llama": ("attn_q", "attn_k")}

# keys behind `FAMILY.`, and what a `config.json` calls them
_GPT2_KEYS = {
    "context_length": "n_positions",
    "embedding_length": "n_embd",
    "block_count": "n_layer",
    "attention.head_count": "n_head",
    "feed_forward_length": "n_inner",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
}
_LLAMA_KEYS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}
SHAPE_KEYS = {"gpt2": _GPT2_KEYS, "llama": _LLAMA_KEYS, "qwen2": _LLAMA_KEYS, "qwen3": _LLAMA_KEYS}
# width of a head, which a file tells under these keys too
HEAD_WIDTH_KEYS = ("attention.value_length", "rope.dimension_count")


def hf_name(name: str, family: str) -> str:
    """Return a family's name, without its prefix, of a tensor in a file.

    One that is not known keeps its name.
    """
    ends, parts, layers = _NAMES[family]
    if name == HEAD:
        return "lm_head.weight"
    stem, _, kind = name.rpartition(".")
    if stem in ends:
        return f"{ends[stem]}.{kind}"
    block, _, rest = stem.partition(".")
    layer, _, part = rest.partition(".")
    return f"{layers}.{layer}.{parts[part]}.{kind}" if block == "blk" and part in parts else name


def gguf_name(name: str, family: str) -> str:
    """Return llama.cpp's name of a tensor that a family has under `name`, without its prefix."""
    ends, parts, layers = _NAMES[family]
    if name == "lm_head.weight":
        return HEAD
    stem, _, kind = name.rpartition(".")
    for theirs, ours in ends.items():
        if stem == ours:
            return f"{theirs}.{kind}"
    layer, _, part = stem.removeprefix(f"{layers}.").partition(".")
    theirs = next(theirs for theirs, ours in parts.items() if ours == part)
    return f"blk.{layer}.{theirs}.{kind}"


def rows_of_halves(name: str, config: GPTConfig) -> Tensor | None:
    """Return which row of a file's tensor each row of the family's is; None: the same one.

    Of a llama's q and k the first and second halves of a head alternate in a file.
    """
    pairs = _pairs(name, config)
    return None if pairs is None else pairs.view(-1, config.head_width // 2, 2).mT.reshape(-1)


def rows_of_neighbours(name: str, config: GPTConfig) -> Tensor | None:
    """Return which row of the family's tensor each row of a file's is; None: the same one."""
    pairs = _pairs(name, config)
    return None if pairs is None else pairs.view(-1, 2, config.head_width // 2).mT.reshape(-1)


def _pairs(name: str, config: GPTConfig) -> Tensor | None:
    part = name.rpartition(".")[0].rpartition(".")[2]
    if part not in _NEIGHBOURS.get(config.family, ()):
        return None
    return torch.arange(config.q_width if part == "attn_q" else config.kv_width)
