"""The Hugging Face folder: how the tensors of a model get into it and out of it again.

A folder written here opens with `transformers.AutoModelForCausalLM.from_pretrained`. What a family
calls its tensors, and which `config.json` is its, `config.families` knows; how they are joined and
turned `family_weights`, and how ours are cut into theirs is known here, for all families alike.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tuillm.config.families import Named, family_of, shape_of_config
from tuillm.config.gpt_config import GPTConfig
from tuillm.formats.bounded_read import CONFIG_BYTES, read_object
from tuillm.formats.json_text import JsonObject
from tuillm.model.family_weights import FamilyWeights
from tuillm.model.gpt import GPT
from tuillm.model.lora import merged_state
from tuillm.model.mmap_safetensors import StoredTensors, map_tensors
from tuillm.model.save_safetensors import LazyTensor, save_tensors


def write_model(
    model: GPT,
    folder: Path,
    eot: int | None,
    ends: Collection[int] = (),
    *,
    bos: int | None = None,
    sampling: Mapping[str, object] | None = None,
) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors` into a folder.

    Models without biases get biases of zero, which compute the same; adapters are added to the
    weights. `eot` is the id of the end-of-text token, if there is one, and `ends` are all
    that end a reply; `bos` begins a text, by default the end of one before. `sampling` is what
    `generation_config.json` says of that. Raises OSError when the disk refuses.
    """
    bos = eot if bos is None else bos
    config = _config_json(model.config, eot, model.dtype) | {"bos_token_id": bos}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    others = sorted(set(ends) - {eot})
    generation = {
        "bos_token_id": bos,
        "eos_token_id": [eot, *others] if others else eot,
        "pad_token_id": eot,
    }
    (folder / "generation_config.json").write_text(
        json.dumps(generation | dict(sampling or {}), indent=2)
    )
    save_tensors(_to_hf(model), folder / "model.safetensors", {"format": "pt"})


def read_config(folder: Path) -> GPTConfig:
    """Return the shape a folder's `config.json` tells of; see `shape_of_config`.

    Raises TuillmError for another architecture or a damaged file.
    """
    path = folder / "config.json"
    return shape_of_config(read_object(path, CONFIG_BYTES), path)


def read_model(folder: Path, dropout: float = 0.0, *, as_stored: bool = False) -> GPT:
    """Return the model of a folder with float32 weights that lie in the file, mapped.

    Biases that are all zero are left out; `dropout` is the share it drops when it is trained.
    With `as_stored` weights keep the precision of the file. (Such models cannot train.) Raises
    TuillmError for a damaged folder.
    """
    config, path = read_config(folder), folder / "model.safetensors"
    return model_from_tensors(
        replace(config, dropout=dropout), map_tensors(path), _misfit(path), as_stored=as_stored
    )


def read_weights(folder: Path) -> FamilyWeights:
    """Return the weights of a folder as they are stored, each mapped when it is asked for.

    So a model is packed without ever lying in memory twice. Raises TuillmError for a damaged
    folder.
    """
    config, path = read_config(folder), folder / "model.safetensors"
    return FamilyWeights(config, StoredTensors(path), _misfit(path))


def model_from_tensors(
    config: GPTConfig,
    tensors: Mapping[str, Tensor],
    misfit: str,
    *,
    turned: bool = True,
    strict: bool = False,
    as_stored: bool = False,
) -> GPT:
    """Return a model of this shape with the float32 values of tensors under its family's names.

    `turned` tells that linear weights of GPT-2 stand as [in, out]. Biases that are all zero are
    left out, whatever the config says. With `as_stored` the values keep their precision. Raises
    TuillmError, `misfit` and the first tensor that is missing or of another shape, or, if
    `strict`, does not belong to the model.
    """
    weights = FamilyWeights(config, tensors, misfit, turned=turned, strict=strict)
    config = weights.config
    state = {name: value if as_stored else value.float() for name, value in weights.items()}
    if config.tie_weights:
        state["lm_head.weight"] = state["wte.weight"]
    model = GPT(config)
    model.load_state_dict({name: state[name] for name in model.state_dict()}, assign=True)
    if config.tie_weights:
        model.lm_head.weight = model.wte.weight
    return model


def _misfit(path: Path) -> str:
    return f"{path} does not fit its config.json"


def _config_json(config: GPTConfig, eot: int | None, dtype: torch.dtype) -> JsonObject:
    return family_of(config).config_json(config) | {
        "bos_token_id": eot,
        "eos_token_id": eot,
        "dtype": str(dtype).removeprefix("torch."),
    }


def _to_hf(model: GPT) -> dict[str, LazyTensor]:
    """The tensors by their names there, each made when it is written."""
    state, family = merged_state(model), family_of(model.config)
    if model.config.tie_weights:
        state.pop("lm_head.weight", None)
    out: dict[str, LazyTensor] = {}
    for named in family.tensors(model.config):
        value = state.pop(named.name, None)
        for name, part in _cut(named, value):
            out[name if name == "lm_head.weight" else family.PREFIX + name] = part
    if state:
        raise ValueError(f"a {model.config.family} has no tensors for {', '.join(state)}")
    return out


def _cut(named: Named, value: Tensor | LazyTensor | None) -> Iterator[tuple[str, LazyTensor]]:
    """The parts of one of our tensors; of one that there is none of, zeros."""

    def make(start: int, rows: int) -> Tensor:
        if value is None:
            return torch.zeros(named.sizes(rows))
        made = value.make() if isinstance(value, LazyTensor) else value.detach()
        part = made[start : start + rows]
        return part.t() if named.turned else part

    start = 0
    for name, rows in named.parts:
        dtype = torch.float32 if value is None else value.dtype
        yield name, LazyTensor(tuple(named.sizes(rows)), dtype, partial(make, start, rows))
        start += rows
