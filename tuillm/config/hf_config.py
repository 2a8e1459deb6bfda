"""Which `config.json` is that of a GPT-2 as tuillm computes it, and the shape that it tells.

Knows GPT-2's names, switches and tensors; knows neither their values nor where a file came from.
Every model is checked with it before anything is built: in passing when the registry is read, when
it is opened, when it comes in, and one of the hub before its weights are fetched.
"""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike

from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, brief
from tuillm.formats.json_text import JsonObject

_Where = str | PathLike[str]

# beyond these is no model: GPT-2 XL has 50,257, 1,024, 1,600, 25 and 48
_LARGEST = {
    "vocab_size": 10_000_000,
    "n_positions": 10_000_000,
    "n_embd": 1_000_000,
    "n_head": 100_000,
    "n_layer": 10_000,
}


def gpt2_shape(found: JsonObject, where: _Where) -> GPTConfig:
    """Return the shape of a parsed `config.json` (`bias` as if there were biases).

    `where` is how errors call the file. Raises TuillmError for another architecture, for a switch
    that tuillm does not compute, and for values that no model can have.
    """
    try:
        if found.get("model_type") != "gpt2":
            raise TuillmError(
                f"{where} is of architecture {brief(found.get('model_type'))}, not gpt2"
            )
        _refuse_damaged(where, found)
        _refuse_variants(where, found)
        return GPTConfig(
            vocab_size=found["vocab_size"],
            block_size=found["n_positions"],
            n_layer=found["n_layer"],
            n_head=found["n_head"],
            n_embd=found["n_embd"],
            tie_weights=found.get("tie_word_embeddings", True),
            norm_eps=float(found.get("layer_norm_epsilon", 1e-5)),
            exact_gelu=found.get("activation_function") == "gelu",
        )
    except KeyError as error:
        raise TuillmError(f"{where} is damaged: {error.args[0]} is missing") from None
    except (TypeError, AttributeError) as error:
        raise TuillmError(f"{where} is damaged: {error!r}") from None


def gpt2_tensors(shape: GPTConfig, turned: bool = True) -> Iterator[tuple[str, list[int]]]:
    """Name the tensors of a GPT-2 and their sizes, linear weights as [in, out] if `turned`."""
    C = shape.n_embd
    yield "wte.weight", [shape.vocab_size, C]
    yield "wpe.weight", [shape.block_size, C]
    for layer in range(shape.n_layer):
        for part, sizes in (
            ("ln_1", [C]),
            ("attn.c_attn", [C, 3 * C]),
            ("attn.c_proj", [C, C]),
            ("ln_2", [C]),
            ("mlp.c_fc", [C, 4 * C]),
            ("mlp.c_proj", [4 * C, C]),
        ):
            yield f"h.{layer}.{part}.weight", sizes if turned else sizes[::-1]
            yield f"h.{layer}.{part}.bias", sizes[-1:]
    yield "ln_f.weight", [C]
    yield "ln_f.bias", [C]
    if not shape.tie_weights:
        yield "lm_head.weight", [shape.vocab_size, C]


def misfit(
    found: Mapping[str, Sequence[int]],
    shape: GPTConfig,
    *,
    turned: bool = True,
    strict: bool = False,
) -> str:
    """Return in words why tensors of these sizes, by name, are not those of a shape, or ''.

    Names stand without `transformer.`; a model without biases lacks all of them. Costs no more
    than there are tensors, whatever the shape claims. With `strict` a tensor that would be
    computed with elsewhere, and not here, is a reason too.
    """
    biased = any(name.endswith(".bias") and not name.endswith(".attn.bias") for name in found)
    known = set()
    for name, wanted in gpt2_tensors(shape, turned):  # ends at the first that is missing
        known.add(name)
        if name.endswith(".bias") and not biased:
            continue
        if name not in found:
            return f"{name} is missing"
        if (sizes := list(found[name])) != wanted:
            return f"{name} is {sizes}, not {wanted}"
    if (beyond := f"h.{shape.n_layer}.ln_1.weight") in found:
        return f"{beyond} is one too many: there are more layers than the {shape.n_layer}"
    if strict:
        known |= {"lm_head.weight"} if shape.tie_weights else set()
        for name in found:
            if name not in known and not name.endswith((".attn.bias", ".attn.masked_bias")):
                return f"{brief(name)} does not belong to a GPT-2 of this shape"
    return ""


def _refuse_variants(where: _Where, found: JsonObject) -> None:
    """GPT-2's config has switches that change the arithmetic; refuse those we do not compute."""
    activation = found.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise TuillmError(
            f"{where} wants activation {brief(activation)}; tuillm computes GELU only"
        )
    if found.get("n_inner") not in (None, 4 * found["n_embd"]):
        raise TuillmError(f"{where} has n_inner {brief(found['n_inner'])}, not 4 times n_embd")
    for switch in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if found.get(switch):
            raise TuillmError(f"{where} sets {switch}, which tuillm does not compute")
    if not found.get("scale_attn_weights", True):
        raise TuillmError(f"{where} unsets scale_attn_weights, which tuillm does not compute")


def _refuse_damaged(where: _Where, found: JsonObject) -> None:
    """Name the value that no model can have; left alone it would fail far from here."""
    for key, most in _LARGEST.items():
        if type(found[key]) is not int or not (key != "n_layer") <= found[key] <= most:
            raise TuillmError(f"{where} is damaged: {key} is {brief(found[key])}")
    if found["n_layer"] and found["n_embd"] % found["n_head"]:
        raise TuillmError(
            f"{where} is damaged: n_embd {found['n_embd']} is not divisible by "
            f"n_head {found['n_head']}"
        )
    eps = found.get("layer_norm_epsilon", 1e-5)
    if type(eps) not in (int, float) or not 0 < eps <= 1:
        raise TuillmError(f"{where} is damaged: layer_norm_epsilon is {brief(eps)}")
    if type(tied := found.get("tie_word_embeddings", True)) is not bool:
        raise TuillmError(f"{where} is damaged: tie_word_embeddings is {brief(tied)}")
