"""From layers to one config: defaults < preset < file < what was typed; errors in one line.

Knows the order of the layers and how to word a refused value; knows no command line.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tuillm.config.fields import settings_of
from tuillm.config.presets import PRESETS
from tuillm.config.sampling import SamplingConfig
from tuillm.config.train import TrainConfig
from tuillm.errors import UsageError, did_you_mean

Config = TypeVar("Config", bound=BaseModel)

_LIMITS = ("max_steps", "minutes")


def build_train(
    typed: Mapping[str, Any], file: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Return the TrainConfig of a preset, overlaid by `file` and then by `typed`.

    Where a higher layer sets only one of max_steps and minutes, the other one of the
    lower layers no longer holds: who types `--max-steps 100` means 100 steps. Nor does a
    lower layer's vocab_size, which is that of a bpe, once a higher one chose another tokenizer,
    or its min_lr below which a higher one put the learning rate.
    Raises UsageError for an unknown key or preset and for a value out of its range.
    """
    file = file or {}
    name = typed.get("preset") or file.get("preset") or TrainConfig.model_fields["preset"].default
    if not isinstance(name, str) or name not in PRESETS:
        known = "presets: " + ", ".join(PRESETS)
        raise UsageError(f"unknown preset {name!r}", did_you_mean(str(name), PRESETS, known))
    values: dict[str, Any] = {}
    for layer in (PRESETS[name].settings, file, typed):
        if any(limit in layer for limit in _LIMITS):
            for limit in _LIMITS:
                values.pop(limit, None)
        if layer.get("tokenizer", "bpe") != "bpe":
            values.pop("vocab_size", None)
        if layer.get("learning_rate", 1) < values.get("min_lr", 0):
            values.pop("min_lr")
        values.update(layer)
    return _validated(TrainConfig, values | {"preset": name})


def build_sampling(
    typed: Mapping[str, Any], base: SamplingConfig | None = None
) -> SamplingConfig:
    """Return `base` (or the defaults) overlaid by `typed`; raises UsageError like build_train."""
    lower = base.model_dump() if base else {}
    return _validated(SamplingConfig, lower | dict(typed))


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return the settings of a TOML file; raises UsageError when it cannot be read."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def _validated(kind: type[Config], values: Mapping[str, Any]) -> Config:
    known = {setting.name: setting for setting in settings_of(kind)}
    for key in values:
        if key not in known:
            raise UsageError(
                f"unknown setting {key!r}",
                did_you_mean(key, known, "tuillm train --help lists them all"),
            )
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
    if not first["loc"]:
        raise UsageError(str(first["msg"]).removeprefix("Value error, "))
    setting = known[str(first["loc"][0])]
    allowed = " or ".join(setting.choices) or setting.range or f"a {setting.type.__name__}"
    raise UsageError(f"{setting.name} cannot be {first['input']!r}", f"allowed: {allowed}")
