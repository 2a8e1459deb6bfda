"""The Hugging Face folder: the only place that knows GPT-2's tensors and their layout on disk.

A folder written here opens with `transformers.AutoModelForCausalLM.from_pretrained`, and every
GPT-2-shaped folder opens here. Linear weights stand there as [in, out] and are turned. Which
`config.json` is that of a GPT-2, `config.hf_config` knows.
"""

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tuillm.config.gpt_config import GPTConfig
from tuillm.config.hf_config import gpt2_shape
from tuillm.config.hf_config import misfit as misfit_of
from tuillm.errors import TuillmError
from tuillm.formats.bounded_read import CONFIG_BYTES, read_object
from tuillm.formats.json_text import JsonObject
from tuillm.model.gpt import GPT
from tuillm.model.lora import merged_state
from tuillm.model.mmap_safetensors import map_tensor, map_tensors
from tuillm.model.save_safetensors import LazyTensor, save_tensors

_LINEAR = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
_NORM = ("ln_1", "ln_2")


def write_model(model: GPT, folder: Path, eot: int | None, ends: Collection[int] = ()) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors` into a folder.

    Models without biases get biases of zero, which compute the same; adapters are added to the
    weights. `eot` is the id of the end-of-text token, if there is one, and `ends` are all
    that end a reply. Raises OSError when the disk refuses.
    """
    (folder / "config.json").write_text(json.dumps(_config_json(model.config, eot), indent=2))
    others = sorted(set(ends) - {eot})
    generation = {
        "bos_token_id": eot,
        "eos_token_id": [eot, *others] if others else eot,
        "pad_token_id": eot,
    }
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2))
    save_tensors(_to_hf(model), folder / "model.safetensors", {"format": "pt"})


def read_config(folder: Path) -> GPTConfig:
    """Return the shape a folder's `config.json` tells of (`bias` as if there were biases).

    Raises TuillmError for another architecture or a damaged file.
    """
    path = folder / "config.json"
    return gpt2_shape(read_object(path, CONFIG_BYTES), path)


def read_model(folder: Path, dropout: float = 0.0, *, head_apart: bool = False) -> GPT:
    """Return the model of a folder with float32 weights that lie in the file, mapped.

    Biases that are all zero are left out; `dropout` is the share it drops when it is trained.
    With `head_apart` a tied head lies in a mapping of its own: once it is packed, no more of the
    embedding is in memory than was looked up. (Such a model cannot train.) Raises TuillmError for
    a damaged folder.
    """
    config, path = read_config(folder), folder / "model.safetensors"
    model = model_from_tensors(
        replace(config, dropout=dropout), map_tensors(path), f"{path} does not fit its config.json"
    )
    if config.tie_weights and head_apart:
        model.lm_head.weight = nn.Parameter(_map_head(path), requires_grad=False)
    return model


def model_from_tensors(
    config: GPTConfig,
    tensors: dict[str, Tensor],
    misfit: str,
    *,
    turned: bool = True,
    strict: bool = False,
) -> GPT:
    """Return a model of this shape with the float32 values of tensors under GPT-2's names.

    `turned` tells that linear weights stand as [in, out]. Biases that are all zero are left out,
    whatever the config says. Raises TuillmError, `misfit` and the first tensor that is missing
    or of another shape, or, if `strict`, does not belong to the model.
    """
    tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
    sizes = {key: value.shape for key, value in tensors.items()}
    if reason := misfit_of(sizes, config, turned=turned, strict=strict):
        raise TuillmError(f"{misfit}: {reason}")
    bias = any(
        bool(tensor.any())
        for key, tensor in tensors.items()
        if key.endswith(".bias") and not key.endswith(".attn.bias")
    )
    config = replace(config, bias=bias)
    model = GPT(config)
    model.load_state_dict(_state(tensors, model, turned), assign=True)
    if config.tie_weights:
        model.lm_head.weight = model.wte.weight
    return model


def _map_head(path: Path) -> Tensor:
    """The embedding, mapped once more: GPT-2's own files leave the prefix out."""
    try:
        return map_tensor(path, "transformer.wte.weight").float()
    except KeyError:
        return map_tensor(path, "wte.weight").float()


def _config_json(config: GPTConfig, eot: int | None) -> JsonObject:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
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
        "bos_token_id": eot,
        "eos_token_id": eot,
        "dtype": "float32",
    }


def _to_hf(model: GPT) -> dict[str, LazyTensor]:
    """The tensors by their names there, each made when it is written."""
    out: dict[str, LazyTensor] = {}
    for name, value in merged_state(model).items():
        if name == "lm_head.weight":
            if not model.config.tie_weights:
                out[name] = _deferred(value, turned=False)
            continue
        turned = name.removesuffix(".weight").endswith(_LINEAR) and len(value.shape) == 2
        out["transformer." + name] = _deferred(value, turned)
    return out if model.config.bias else out | _zero_biases(model.config)


def _deferred(value: Tensor | LazyTensor, turned: bool) -> LazyTensor:
    def make() -> Tensor:
        made = value.make() if isinstance(value, LazyTensor) else value.detach()
        return made.t() if turned else made

    shape = tuple(value.shape)
    return LazyTensor(shape[::-1] if turned else shape, torch.float32, make)


def _zero_biases(config: GPTConfig) -> dict[str, LazyTensor]:
    C = config.n_embd
    widths = {"attn.c_attn": 3 * C, "mlp.c_fc": 4 * C}
    names = [f"h.{layer}.{part}" for layer in range(config.n_layer) for part in _LINEAR + _NORM]
    return {
        f"transformer.{name}.bias": _deferred(
            torch.zeros(widths.get(name.split(".", 2)[-1], C)), turned=False
        )
        for name in [*names, "ln_f"]
    }


def _state(tensors: dict[str, Tensor], model: GPT, turned: bool) -> dict[str, Tensor]:
    """Return a model's state dict from tensors that fit it."""
    state: dict[str, Tensor] = {}
    for name in model.state_dict():
        tied = name == "lm_head.weight" and model.config.tie_weights
        value = tensors["wte.weight" if tied else name]
        if turned and name.removesuffix(".weight").endswith(_LINEAR) and value.dim() == 2:
            value = value.t()
        state[name] = value.float()
    return state
