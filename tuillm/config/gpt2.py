"""Which `config.json` is that of a GPT-2 as tuillm computes it, and the shape that it tells.

Knows GPT-2's names and switches; knows neither tensors nor where the file came from. A model
folder is checked with it when it is opened, one of the hub before its weights are fetched.
"""

from os import PathLike
from typing import Any

from tuillm.config.shape import GPTConfig
from tuillm.errors import TuillmError

_Where = str | PathLike[str]


def gpt2_shape(found: Any, where: _Where) -> GPTConfig:
    """Return the shape of a parsed `config.json` (`bias` as if there were biases).

    `where` is how errors call the file. Raises TuillmError for another architecture, for a switch
    that tuillm does not compute, and for values that no model can have.
    """
    try:
        if found.get("model_type") != "gpt2":
            raise TuillmError(f"{where} is of architecture {found.get('model_type')!r}, not gpt2")
        _refuse_damaged(where, found)
        _refuse_variants(where, found)
        return GPTConfig(
            vocab_size=found["vocab_size"],
            block_size=found["n_positions"],
            n_layer=found["n_layer"],
            n_head=found["n_head"],
            n_embd=found["n_embd"],
            tie_weights=found.get("tie_word_embeddings", True),
            norm_eps=found.get("layer_norm_epsilon", 1e-5),
            exact_gelu=found.get("activation_function") == "gelu",
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise TuillmError(f"{where} is damaged: {error!r}") from None


def _refuse_variants(where: _Where, found: dict[str, Any]) -> None:
    """GPT-2's config has switches that change the arithmetic; refuse those we do not compute."""
    activation = found.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise TuillmError(f"{where} wants activation {activation!r}; tuillm computes GELU only")
    if found.get("n_inner") not in (None, 4 * found["n_embd"]):
        raise TuillmError(f"{where} has n_inner {found['n_inner']}, not 4 times n_embd")
    for switch in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if found.get(switch):
            raise TuillmError(f"{where} sets {switch}, which tuillm does not compute")
    if not found.get("scale_attn_weights", True):
        raise TuillmError(f"{where} unsets scale_attn_weights, which tuillm does not compute")


def _refuse_damaged(where: _Where, found: dict[str, Any]) -> None:
    """Name the value that no model can have; left alone it would fail far from here."""
    for key in ("vocab_size", "n_positions", "n_embd", "n_head", "n_layer"):
        if type(found[key]) is not int or found[key] < (key != "n_layer"):
            raise TuillmError(f"{where} is damaged: {key} is {found[key]!r}")
    if found["n_layer"] and found["n_embd"] % found["n_head"]:
        raise TuillmError(f"{where} is damaged: n_embd {found['n_embd']} is not divisible by "
                          f"n_head {found['n_head']}")
    if not isinstance(eps := found.get("layer_norm_epsilon", 1e-5), int | float):
        raise TuillmError(f"{where} is damaged: layer_norm_epsilon is {eps!r}")
