"""Weights in several files: the index that names them, and what their headers must say together.

`model.safetensors.index.json` names for every tensor the file that holds it. An index comes out of
anybody's folder: it may name only files beside it, a bounded number of them, each tensor once.
Knows names and headers; reads no tensor and asks no network.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from tuillm.errors import TuillmError, brief
from tuillm.formats.bounded_read import INDEX_BYTES, read_object
from tuillm.formats.safetensors_header import StoredTensor

INDEX = "model.safetensors.index.json"
# files of one model; those of 2 billion parameters have one or two
MOST_SHARDS = 200
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.safetensors")
_NUMBERED = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")


def read_index(path: Path, where: str = "") -> dict[str, str]:
    """Return the file that holds each tensor, by the tensor's name.

    `where` is how errors call the index. Raises TuillmError for one that is damaged or too large,
    names no files, files elsewhere, or more than MOST_SHARDS.
    """
    where = where or str(path)
    named = read_object(path, INDEX_BYTES).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise TuillmError(f"{where} is damaged: it names no files")
    files = set(map(str, named.values()))
    for file in sorted(files):
        if not _PLAIN.fullmatch(file):
            raise TuillmError(f"{where} is damaged: {brief(file)} is no safetensors file beside it")
    if len(files) > MOST_SHARDS:
        raise TuillmError(
            f"{where} names {len(files):,} files, where {MOST_SHARDS} are the most there can be"
        )
    return {str(name): str(file) for name, file in named.items()}


def is_shard(name: str) -> bool:
    """Whether a file is by its name one of several with a model's weights."""
    return _NUMBERED.fullmatch(name) is not None


def numbered_shards(names: Collection[str], where: str) -> list[str]:
    """Return those of `names` that are parts of one model's weights, in their order.

    Raises TuillmError where one of them is missing, and for more than MOST_SHARDS.
    """
    found = sorted(name for name in names if is_shard(name))
    totals = {name[-len("00000.safetensors") :][:5] for name in found}
    if len(totals) != 1:
        raise TuillmError(f"the weights of {where} are in several files that are no one series")
    total = int(totals.pop())
    if total > MOST_SHARDS:
        raise TuillmError(
            f"the weights of {where} are in {total:,} files, where {MOST_SHARDS} are the most "
            "there can be"
        )
    for number in range(1, total + 1):
        if (name := f"model-{number:05}-of-{total:05}.safetensors") not in found:
            raise TuillmError(f"the weights of {where} are not whole: {name} is missing")
    if len(found) != total:
        raise TuillmError(f"the weights of {where} are in several files that are no one series")
    return found


def joined_tensors(
    index: Mapping[str, str], headers: Mapping[str, Mapping[str, StoredTensor]], where: str
) -> dict[str, StoredTensor]:
    """Return the tensors of all files by name, each as it stands in its own file.

    `headers` are those of every file that the index names. Raises TuillmError where a tensor is
    missing in its file, is in two of them, or is in one without being named.
    """
    found: dict[str, StoredTensor] = {}
    for file, header in headers.items():
        for name, stored in header.items():
            if name in found:
                raise TuillmError(f"{where} is damaged: {brief(name)} is in two of its files")
            if index.get(name) != file:
                raise TuillmError(f"{where} is damaged: it does not name {brief(name)} of {file}")
            found[name] = stored
    for name, file in index.items():
        if name not in found:
            raise TuillmError(f"{where} is damaged: {brief(name)} is not in {file}")
    return found
