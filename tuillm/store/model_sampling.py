"""How a model's makers would have its tokens chosen: `generation_config.json` in its folder.

Their settings stand between tuillm's defaults and what a person sets. Knows names, ranges and
files; what is out of range, or what tuillm has no setting for, is not taken over.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tuillm.config import SamplingConfig, build_sampling
from tuillm.errors import TuillmError, UsageError
from tuillm.formats.bounded_read import CONFIG_BYTES, read_object
from tuillm.formats.json_text import JsonObject

GENERATION_CONFIG = "generation_config.json"
# they are called the same in transformers
_SETTINGS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


def folder_sampling(folder: Path) -> dict[str, object]:
    """Return the settings that a model folder tells of, those that hold alone; {} without any.

    `do_sample: false` means that the likeliest token is always taken.
    """
    told: JsonObject = {}
    with suppress(OSError, TuillmError):
        told = _told(folder)
    found = _in_range(told)
    if told.get("do_sample") is False:
        found["temperature"] = 0.0
    return found


def model_sampling(folder: Path) -> SamplingConfig:
    """Return the settings of replies with a model where a person sets none."""
    return build_sampling(folder_sampling(folder))


def begin_id(folder: Path, names: Mapping[int, str]) -> int | None:
    """Return the id that begins a text, None where a folder tells of none among these names."""
    for file in (GENERATION_CONFIG, "config.json"):
        path = folder / file
        found = read_object(path, CONFIG_BYTES).get("bos_token_id") if path.is_file() else None
        if type(found) is int and found in names:
            return found
    return None


def kept_sampling(folder: Path) -> JsonObject:
    """Return what a folder's `generation_config.json` says of sampling, to write it again."""
    told = _told(folder)
    samples = told.get("do_sample")
    return _in_range(told) | ({"do_sample": samples} if isinstance(samples, bool) else {})


def _told(folder: Path) -> JsonObject:
    path = folder / GENERATION_CONFIG
    return read_object(path, CONFIG_BYTES) if path.is_file() else {}


def _in_range(told: JsonObject) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in _SETTINGS:
        value = told.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            with suppress(UsageError):
                found[name] = getattr(build_sampling({name: value}), name)
    return found
