"""What a model of the hub has to be, looked at before its weights are fetched, and after.

Its `config.json` first, then the headers of its weights, which a few kilobytes of each file are.
Knows families and headers; asks the network for nothing but through `header_of`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tuillm.config.families import FAMILIES, shape_of_config, weights_misfit
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, brief
from tuillm.formats.bounded_read import CONFIG_BYTES, read_bounded
from tuillm.formats.safetensors_header import StoredTensor, read_header, sizes_of
from tuillm.formats.safetensors_index import INDEX, joined_tensors, read_index
from tuillm.store.hub.api import HubFile, Plan
from tuillm.store.hub.hub_names import Source

_FLOATS = ("F64", "F32", "F16", "BF16")


def check_config(path: Path, source: Source) -> GPTConfig:
    """Return the shape of a `config.json`; raises TuillmError for other families."""
    return config_shape(read_bounded(path, CONFIG_BYTES), source)


def config_shape(content: bytes, source: Source) -> GPTConfig:
    """Return the shape that the contents of a `config.json` tell of.

    Raises TuillmError for a model that is damaged, quantized, of another family, or sets a switch
    that tuillm does not compute.
    """
    where = f"the config.json of {source.repo}"
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TuillmError(f"{where} is damaged: {error}") from None
    if isinstance(found, dict) and found.get("quantization_config"):
        raise TuillmError(
            f"the weights of {source.repo} are quantized{_method(found['quantization_config'])}, "
            "which tuillm does not read",
            "pull the model that it was made from",
        )
    try:
        shape = shape_of_config(found, where)
    except TuillmError as error:
        raise TuillmError(error.message, "tuillm pull lists what it reads") from None
    ours = FAMILIES[shape.family].ARCHITECTURES
    named = found.get("architectures") or ours
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list | tuple) or not all(isinstance(each, str) for each in named):
        raise TuillmError(f"{where} is damaged: its architectures are no list of names")
    if not set(named) & set(ours):
        raise TuillmError(f"{source.repo} is a {named[0]}, which writes no text")
    return shape


def check_headers(
    plan: Plan,
    folder: Path,
    shape: GPTConfig,
    source: Source,
    header_of: Callable[[HubFile], Mapping[str, StoredTensor]],
) -> None:
    """Raise TuillmError unless the headers of all weights tell of a model of that shape.

    `folder` holds the index of weights in several files; `header_of` gives the header of one.
    """
    names = [file.name for file in plan.weights]
    index: dict[str, str] = {}
    if (folder / INDEX).exists():
        index = read_index(folder / INDEX, _index_of(source))
        if files := set(index.values()) - set(names):
            raise TuillmError(f"{_index_of(source)} names {min(files)}, which is not there")
        if files := set(names) - set(index.values()):
            raise TuillmError(f"{_index_of(source)} does not name {min(files)}")
    headers = {file.name: header_of(file) for file in plan.weights}
    if index:
        found = joined_tensors(index, headers, _index_of(source))
    else:
        found = dict(headers[names[0]])
    _refuse_other_types(found, source)
    sizes = {name.removeprefix("transformer."): stored.shape for name, stored in found.items()}
    if reason := weights_misfit(sizes, shape, strict=True):
        raise _misfit(reason, source)


def check_weights(path: Path, shape: GPTConfig, source: Source) -> None:
    """Raise TuillmError unless a file is whole and has the tensors of that shape, by its header."""
    if reason := weights_misfit(sizes_of(path), shape):
        raise _misfit(reason, source)
    _refuse_other_types(read_header(path), source)


def _misfit(reason: str, source: Source) -> TuillmError:
    return TuillmError(f"the weights of {source.repo} do not fit its config.json: {reason}")


def _refuse_other_types(found: Mapping[str, StoredTensor], source: Source) -> None:
    """Weights are fractions; buffers of whole numbers, such as masks, have no name of `weight`."""
    for name, stored in found.items():
        if name.endswith("weight") and stored.dtype not in _FLOATS:
            raise TuillmError(
                f"{brief(name)} of {source.repo} has numbers of type {stored.dtype}: its weights "
                "are quantized, which tuillm does not read",
                "pull the model that it was made from",
            )


def _method(told: object) -> str:
    """Name the kind of quantization that a config tells of: gptq, awq, bitsandbytes, fp8."""
    method = told.get("quant_method") if isinstance(told, dict) else None
    return f" ({brief(method)})" if isinstance(method, str) else ""


def _index_of(source: Source) -> str:
    return f"the {INDEX} of {source.repo}"
