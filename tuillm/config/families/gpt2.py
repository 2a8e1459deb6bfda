"""GPT-2 in a Hugging Face folder: its `config.json` and the names of its tensors.

Linear weights stand there as [in, out]. Knows GPT-2's switches; refuses those that change the
arithmetic.
"""

from collections.abc import Iterator
from typing import Any

from tuillm.config.families.checks import DEEPEST, LARGEST, MOST_HEADS, WIDEST, Values, Where
from tuillm.config.families.tensor_names import Named, one
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

MODEL_TYPE = "gpt2"
ARCHITECTURES = ("GPT2LMHeadModel", "GPT2Model", "GPT2DoubleHeadsModel")
PREFIX = "transformer."
NEXT_LAYER = "h.{}.ln_1.weight"
# buffers that older folders keep, and what transformers makes of a tied head
IGNORED = (".attn.bias", ".attn.masked_bias")
DROPOUT = 0.1
LORA_TARGETS = ("c_attn", "attn.c_proj", "c_fc", "mlp.c_proj")
LORA_DEFAULT = ("c_attn",)  # PEFT's own default for GPT-2


def shape(found: JsonObject, where: Where) -> GPTConfig:
    """Return the shape that a parsed `config.json` tells of (`bias` as if there were biases).

    Raises TuillmError for a switch that tuillm does not compute, and for values that no model can
    have.
    """
    values = Values(found, where)
    layers = values.whole("n_layer", DEEPEST, 0)
    width, heads = values.whole("n_embd", WIDEST), values.whole("n_head", MOST_HEADS)
    if layers and width % heads:
        raise TuillmError(f"{where} is damaged: n_embd {width} is not divisible by n_head {heads}")
    _refuse_variants(values, width)
    return GPTConfig(
        vocab_size=values.whole("vocab_size", LARGEST),
        block_size=values.whole("n_positions", LARGEST),
        n_layer=layers,
        n_head=heads,
        n_embd=width,
        tie_weights=values.flag("tie_word_embeddings", True),
        norm_eps=values.positive("layer_norm_epsilon", 1.0, 1e-5),
        exact_gelu=found.get("activation_function") == "gelu",
    )


def new_shape(**sizes: Any) -> GPTConfig:
    """Return the shape of a new model of these sizes, `bias` among them."""
    return GPTConfig(**sizes)


def config_json(config: GPTConfig) -> JsonObject:
    """Return the `config.json` of a shape, without the ids of special tokens."""
    return {
        "architectures": [ARCHITECTURES[0]],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_ctx": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": None,
        "activation_function": "gelu" if config.exact_gelu else "gelu_new",
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "tie_word_embeddings": config.tie_weights,
    }


def tensors(config: GPTConfig, turned: bool = True) -> Iterator[Named]:
    """Name the tensors of a GPT-2; linear weights as [in, out] if `turned`."""
    C = config.n_embd
    yield one("wte.weight", "wte.weight", config.vocab_size, C)
    yield one("wpe.weight", "wpe.weight", config.block_size, C)
    for layer in range(config.n_layer):
        for part, size in (
            ("ln_1", (C,)),
            ("attn.c_attn", (3 * C, C)),
            ("attn.c_proj", (C, C)),
            ("ln_2", (C,)),
            ("mlp.c_fc", (4 * C, C)),
            ("mlp.c_proj", (C, 4 * C)),
        ):
            name = f"h.{layer}.{part}"
            linear = turned and len(size) == 2
            yield one(f"{name}.weight", f"{name}.weight", *size, turned=linear)
            yield one(f"{name}.bias", f"{name}.bias", size[0], optional=True)
    yield one("ln_f.weight", "ln_f.weight", C)
    yield one("ln_f.bias", "ln_f.bias", C, optional=True)
    if not config.tie_weights:
        yield one("lm_head.weight", "lm_head.weight", config.vocab_size, C)


def _refuse_variants(values: Values, width: int) -> None:
    """GPT-2's config has switches that change the arithmetic; refuse those we do not compute."""
    found, where = values.found, values.where
    activation = found.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise TuillmError(
            f"{where} wants activation {brief(activation)}; tuillm computes GELU only"
        )
    if found.get("n_inner") not in (None, 4 * width):
        raise TuillmError(f"{where} has n_inner {brief(found['n_inner'])}, not 4 times n_embd")
    values.refuse(("scale_attn_by_inverse_layer_idx", "add_cross_attention"))
    if not found.get("scale_attn_weights", True):
        raise TuillmError(f"{where} unsets scale_attn_weights, which tuillm does not compute")
