"""Writes GGUF files as llama.cpp's converter does, from models and tokenizers of transformers."""

import json

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from tokenizers import Tokenizer

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}
PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
# K blocks have no writer in Python: their bytes are random, with the halves that scale them here
SCALES = {"Q2_K": (80, 82), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
SIZES = {"Q2_K": 84, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}


def label(name):
    """llama.cpp's name of a tensor of transformers."""
    stem, _, kind = name.rpartition(".")
    if stem in NAMES:
        return f"{NAMES[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def neighbours(weight, heads):
    """The rows of q or k as llama.cpp has them: a head's halves alternate."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(halves.transpose(0, 2, 1, 3).reshape(weight.shape))


def arrays(model):
    """The tensors of a model under llama.cpp's names."""
    config = model.config
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array, ours = value.float().numpy(), label(name)
        if config.model_type == "llama" and ".attn_q.weight" in ours:
            array = neighbours(array, config.num_attention_heads)
        if config.model_type == "llama" and ".attn_k.weight" in ours:
            array = neighbours(array, config.num_key_value_heads)
        if config.model_type == "gpt2" and array.ndim == 2 and ours.startswith("blk."):
            array = np.ascontiguousarray(array.T)
        yield ours, array


def describe(writer, config):
    """What a file says of a model's shape."""
    if config.model_type == "gpt2":
        writer.add_context_length(config.n_positions)
        writer.add_embedding_length(config.n_embd)
        writer.add_feed_forward_length(4 * config.n_embd)
        writer.add_block_count(config.n_layer)
        writer.add_head_count(config.n_head)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head_dim)
    if head_dim * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)


def blocks(array, kind):
    """A matrix in blocks of a kind."""
    if kind not in SCALES:
        return quantize(array, GGMLQuantizationType[kind])
    generator = np.random.default_rng(array.size)
    shape = (array.shape[0], array.shape[1] // 256, SIZES[kind])
    data = generator.integers(0, 256, shape, np.uint8)
    for start in SCALES[kind]:
        scale = generator.normal(0, 0.001, (*shape[:2], 1)).astype(np.float16)
        data[:, :, start : start + 2] = scale.view(np.uint8)
    return data.reshape(shape[0], -1)


def write(path, model, tokenizer=None, kind="F32", pre="gpt-2", more=(), **tokens):
    """Write a model as a GGUF file; `kind` is that of its matrices.

    `tokenizer` is one of the library `tokenizers`, of bytes, `more` further tensors by name. A call
    `change(writer)` comes last before the file is written.
    """
    change = tokens.pop("change", None)
    writer = GGUFWriter(path, tokens.pop("family", model.config.model_type))
    describe(writer, model.config)
    if tokenizer is not None:
        add_tokenizer(writer, tokenizer, model.config.vocab_size, pre, **tokens)
    if change:
        change(writer)
    for name, array in arrays(model):
        exact = array.ndim == 1 or name == "position_embd.weight" or kind == "F32"
        if exact:
            writer.add_tensor(name, array)
            continue
        data = blocks(array, kind)
        writer.add_tensor(name, data, raw_dtype=GGMLQuantizationType[kind])
    for name, array in dict(more).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer, tokenizer: Tokenizer, rows, pre, bos=None, eos=None, template=""):
    """Tell of a byte-level tokenizer; rows that it does not fill are padded."""
    spec = json.loads(tokenizer.to_str())
    added = {each["id"]: each for each in spec["added_tokens"]}
    names = {id: name for name, id in tokenizer.get_vocab(with_added_tokens=True).items()}
    ids = range(rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([names.get(id, f"[PAD{id}]") for id in ids])
    writer.add_token_types(
        [
            5 if id not in names else 1 if id not in added else 3 if added[id]["special"] else 4
            for id in ids
        ]
    )
    writer.add_token_merges([" ".join(pair) for pair in spec["model"]["merges"]])
    if bos is not None:
        writer.add_bos_token_id(bos)
    if eos is not None:
        writer.add_eos_token_id(eos)
    if template:
        writer.add_chat_template(template)


def random_model(cls, config):
    """A model whose every parameter counts."""
    model = cls(config).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(number))
            if parameter.ndim == 1:
                parameter.add_(1)
    return model
