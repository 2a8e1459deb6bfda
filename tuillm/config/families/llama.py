"""Llama in a Hugging Face folder: its `config.json` and the names of its tensors.

SmolLM2, TinyLlama and Llama 3 are of this family; Qwen 2 and 3 differ from it by what their own
files say. Queries, keys and values are three tensors there and one here, as are the gate and the
other half of the MLP.
"""

from collections.abc import Iterator
from typing import Any

from tuillm.config.families.checks import DEEPEST, LARGEST, MOST_HEADS, WIDEST, Values, Where
from tuillm.config.families.tensor_names import Named, one
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

MODEL_TYPE = "llama"
ARCHITECTURES = ("LlamaForCausalLM",)
PREFIX = "model."
NEXT_LAYER = "layers.{}.input_layernorm.weight"
# of older folders: what follows from the config
IGNORED = (".rotary_emb.inv_freq",)
# with a tenth dropped SmolLM2-135M's loss on a play is 9.9 instead of 4.2, with a fiftieth 4.7
DROPOUT = 0.0
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# adapters on all of them come up to training all weights, those on some of them do not
# (QLoRA, Dettmers et al. 2023, arXiv:2305.14314, figure 2); PEFT has q_proj and v_proj
LORA_DEFAULT = LORA_TARGETS


def shape(found: JsonObject, where: Where) -> GPTConfig:
    """Return the shape that a parsed `config.json` tells of.

    Raises TuillmError for a switch that tuillm does not compute, and for values that no model can
    have.
    """
    values = Values(found, where)
    values.refuse(("attention_bias", "mlp_bias"))
    if found.get("pretraining_tp", 1) not in (1, None):
        raise TuillmError(f"{where} sets pretraining_tp, which tuillm does not compute")
    return gated_decoder(values, family=MODEL_TYPE)


def new_shape(*, bias: bool, **sizes: Any) -> GPTConfig:
    """Return the shape of a new model of these sizes; a Llama has no biases."""
    return new_gated_decoder(family=MODEL_TYPE, **sizes)


def new_gated_decoder(*, n_embd: int, **sizes: Any) -> GPTConfig:
    """Return the shape of a new decoder of this kind, with the switches of a family.

    The gated MLP is 8/3 of the width inside, so that its three matrices have as many weights as
    two of 4 times the width (Shazeer 2020, arXiv:2002.05202), to the nearest multiple of 32.
    """
    inner = max(32, round(n_embd * 8 / 3 / 32) * 32)
    return GPTConfig(
        n_embd=n_embd,
        bias=False,
        n_inner=inner,
        rms_norm=True,
        gated_mlp=True,
        rope_theta=1e4,
        **sizes,
    )


def gated_decoder(values: Values, **switches: Any) -> GPTConfig:
    """Return the shape of a decoder of this kind, with the switches of a family."""
    found = values.found
    activation = found.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        raise TuillmError(
            f"{values.where} wants activation {brief(activation)}; tuillm computes SiLU only"
        )
    width = values.whole("hidden_size", WIDEST)
    heads = values.whole("num_attention_heads", MOST_HEADS)
    kv_heads = values.whole("num_key_value_heads", MOST_HEADS, default=heads)
    if heads % kv_heads:
        raise TuillmError(
            f"{values.where} is damaged: num_attention_heads {heads} is not divisible by "
            f"num_key_value_heads {kv_heads}"
        )
    head_dim = values.whole("head_dim", WIDEST, default=max(1, width // heads))
    if head_dim % 2:
        raise TuillmError(f"{values.where} is damaged: head_dim {head_dim} is odd")
    return GPTConfig(
        vocab_size=values.whole("vocab_size", LARGEST),
        block_size=values.whole("max_position_embeddings", LARGEST),
        n_layer=values.whole("num_hidden_layers", DEEPEST, 0),
        n_head=heads,
        n_embd=width,
        bias=False,
        tie_weights=values.flag("tie_word_embeddings", False),
        norm_eps=values.positive("rms_norm_eps", 1.0, 1e-6),
        n_kv_head=kv_heads,
        head_dim=head_dim,
        n_inner=values.whole("intermediate_size", WIDEST),
        rms_norm=True,
        gated_mlp=True,
        **_rotary(values),
        **switches,
    )


def config_json(config: GPTConfig) -> JsonObject:
    """Return the `config.json` of a shape, without the ids of special tokens."""
    return gated_json(config, MODEL_TYPE, ARCHITECTURES) | {"mlp_bias": False}


def gated_json(config: GPTConfig, model_type: str, architectures: tuple[str, ...]) -> JsonObject:
    """What the families of this kind have in common in their `config.json`."""
    scaling = {
        "rope_type": "llama3",
        "factor": config.rope_factor,
        "low_freq_factor": config.rope_low,
        "high_freq_factor": config.rope_high,
        "original_max_position_embeddings": config.rope_original,
    }
    return {
        "architectures": [architectures[0]],
        "model_type": model_type,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.block_size,
        "hidden_size": config.n_embd,
        "intermediate_size": config.inner_width,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling if config.rope_original else None,
        "attention_bias": False,
        "attention_dropout": config.dropout,
        "tie_word_embeddings": config.tie_weights,
    }


def tensors(config: GPTConfig, turned: bool = True) -> Iterator[Named]:
    """Name the tensors of a decoder of this kind; none of them is ever turned."""
    C, D, inner = config.n_embd, config.head_width, config.inner_width
    qkv = (("q", config.q_width), ("k", config.kv_width), ("v", config.kv_width))
    yield one("wte.weight", "embed_tokens.weight", config.vocab_size, C)
    for layer in range(config.n_layer):
        ours, theirs = f"h.{layer}.", f"layers.{layer}."
        yield one(f"{ours}ln_1.weight", f"{theirs}input_layernorm.weight", C)
        for kind in ("weight", *(["bias"] if config.qkv_bias else [])):
            parts = tuple((f"{theirs}self_attn.{each}_proj.{kind}", rows) for each, rows in qkv)
            size = (config.qkv_width, C) if kind == "weight" else (config.qkv_width,)
            yield Named(f"{ours}attn.c_attn.{kind}", size, parts)
        if config.qk_norm:
            yield one(f"{ours}attn.q_norm.weight", f"{theirs}self_attn.q_norm.weight", D)
            yield one(f"{ours}attn.k_norm.weight", f"{theirs}self_attn.k_norm.weight", D)
        out = f"{theirs}self_attn.o_proj.weight"
        yield one(f"{ours}attn.c_proj.weight", out, C, config.q_width)
        yield one(f"{ours}ln_2.weight", f"{theirs}post_attention_layernorm.weight", C)
        both = ((f"{theirs}mlp.gate_proj.weight", inner), (f"{theirs}mlp.up_proj.weight", inner))
        yield Named(f"{ours}mlp.c_fc.weight", (2 * inner, C), both)
        yield one(f"{ours}mlp.c_proj.weight", f"{theirs}mlp.down_proj.weight", C, inner)
    yield one("ln_f.weight", "norm.weight", C)
    if not config.tie_weights:
        yield one("lm_head.weight", "lm_head.weight", config.vocab_size, C)


def _rotary(values: Values) -> dict[str, Any]:
    """Read rotary positions as transformers 5 writes them, and as folders before it have them."""
    found = values.found
    newer = found.get("rope_parameters")
    older = found.get("rope_scaling")
    for name, each in (("rope_parameters", newer), ("rope_scaling", older)):
        if each is not None and not isinstance(each, dict):
            raise values.damaged(name, each)
    scaling = newer or older or {}
    theta = Values({**found, **(newer or {})}, values.where).positive("rope_theta", 1e12, 1e4)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    partial = scaling.get("partial_rotary_factor", found.get("partial_rotary_factor", 1.0))
    if partial != 1.0:
        raise TuillmError(
            f"{values.where} sets partial_rotary_factor {brief(partial)}, which tuillm does not "
            "compute"
        )
    if kind == "default":
        return {"rope_theta": theta}
    if kind != "llama3":
        raise TuillmError(
            f"{values.where} wants rotary positions scaled as {brief(kind)}; tuillm computes "
            "llama3 only"
        )
    numbers = Values(scaling, values.where)
    low = numbers.positive("low_freq_factor", 1e6)
    high = numbers.positive("high_freq_factor", 1e6)
    if high <= low:
        raise values.damaged("high_freq_factor", high)
    return {
        "rope_theta": theta,
        "rope_factor": numbers.positive("factor", 1e6),
        "rope_low": low,
        "rope_high": high,
        "rope_original": numbers.whole("original_max_position_embeddings", LARGEST),
    }
