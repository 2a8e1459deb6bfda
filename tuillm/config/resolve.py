"""From layers to one config: defaults < preset < file < what was typed; errors in one line.

Knows the order of the layers and how to word a refused value; knows no command line.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tuillm.config.check_setting import check_setting, refused
from tuillm.config.families import FAMILIES, has_learned_positions
from tuillm.config.fields import Setting, settings_of
from tuillm.config.lora_layers import chosen_targets
from tuillm.config.model_shape import ModelShape
from tuillm.config.sampling_config import SamplingConfig
from tuillm.config.suggestions import pointer
from tuillm.config.train_config import TrainConfig
from tuillm.config.training_presets import LORA_RATE, PRESETS
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.formats.user_files import read_toml_file, shown, words_of
from tuillm.user_paths import user_path

Config = TypeVar("Config", bound=BaseModel)

# wide models learn from this many tokens a step, in windows of that many, on any machine in a
# second or two; their context stays as it is
_WIDE, _TOKENS, _WINDOW = 512, 1024, 256

# settings that the blocks of arch gpt2 alone have
_OF_GPT2 = ("bias", "positions")

ShapeOf = Callable[[str], ModelShape]

_LIMITS = ("max_steps", "minutes", "epochs")
_FINETUNE = "finetune"
# settings that are checked all together, in the end
_AS_THEY_ARE = ("preset", "init_from")
_WHERE = ("Sampler.generate and tuillm generate", "Trainer and tuillm train")
# what a model to start from decides; the last two are facts of its weights alone
_SHAPE = (
    "tokenizer",
    "vocab_size",
    "arch",
    "n_layer",
    "n_head",
    "n_embd",
    "block_size",
    "tie_weights",
    "bias",
    "positions",
)


def build_train(
    typed: Mapping[str, object],
    file: Mapping[str, object] | None = None,
    shape_of: ShapeOf | None = None,
) -> TrainConfig:
    """Return the TrainConfig of a preset, overlaid by `file` and then by `typed`.

    Where a higher layer sets only one of max_steps and minutes, the other one of the
    lower layers no longer holds: who types `--max-steps 100` means 100 steps. Nor does a
    lower layer's vocab_size, which is that of a bpe, once a higher one chose another tokenizer,
    or its min_lr below which a higher one put the learning rate.

    With `init_from` the preset is `finetune` unless one was named, and the shape is that model's,
    which `shape_of` (store.registry.shape_of) tells; the rate of `finetune` falls with the width.
    With `lora` the optimizer is adamw at LoRA's own rate, and the layers that get adapters are
    spelled out, by the names of the model's family. Raises UsageError for an unknown key or
    preset, for a value out of its range, for one that is not the model's, for a preset that says
    what shape a model has where that is decided, and for LoRA's own settings where it is off.
    """
    file, typed = _checked(TrainConfig, file or {}), _checked(TrainConfig, typed)
    parent = typed.get("init_from", file.get("init_from"))
    name = _preset_of(typed, file, parent)
    shape: ModelShape | None = None
    if shape_of and isinstance(parent, str | os.PathLike):
        shape = shape_of(os.fspath(parent))
    recipe = _recipe(name, parent is not None, shape)
    if parent is not None and typed.get("lora", file.get("lora")) is True:
        recipe |= _lora_recipe(shape)
    values: dict[str, object] = {}
    for layer in (recipe, file, typed):
        if any(limit in layer for limit in _LIMITS):
            for limit in _LIMITS:
                values.pop(limit, None)
        if layer.get("tokenizer", "bpe") != "bpe":
            values.pop("vocab_size", None)
        if _below(layer.get("learning_rate", 1), values.get("min_lr", 0)):
            values.pop("min_lr", None)
        values.update(layer)
    if shape:
        values |= _shape_taken_over(values, shape)
        if values.get("lora") is True or "lora_targets" in typed:
            values["lora_targets"] = chosen_targets(shape.arch, values.get("lora_targets"))
    elif parent is None:
        values |= _only_of_gpt2(values, file | typed)
    config = _validated(TrainConfig, values | {"preset": name})
    idle = [key for key in typed if key.startswith("lora_")]
    if idle and not config.lora:
        raise UsageError(f"{idle[0]} is about LoRA, which is off", "add --lora")
    return config


def build_sampling(
    typed: Mapping[str, object], base: SamplingConfig | None = None
) -> SamplingConfig:
    """Return `base` (or the defaults) overlaid by `typed`; raises UsageError like build_train."""
    lower = base.model_dump() if base else {}
    return _validated(SamplingConfig, lower | dict(typed))


def read_toml(path: str | os.PathLike[str]) -> dict[str, object]:
    """Return the settings of a TOML file; raises UsageError when it cannot be read."""
    try:
        return read_toml_file(user_path(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {words_of(error)}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def preset_values(
    name: str | None = None,
    settings: Mapping[str, object] | None = None,
    shape_of: ShapeOf | None = None,
) -> dict[str, object]:
    """Return the value that each setting has in a run that names a preset and these settings.

    Without a name it is the preset that such a run takes. Raises UsageError for an unknown one.
    """
    typed = dict(settings or {}) | ({"preset": name} if name else {})
    return build_train(typed, {}, shape_of).model_dump()


def _preset_of(typed: Mapping[str, object], file: Mapping[str, object], parent: object) -> str:
    """Return the preset that was named, or is usual; raises UsageError for one that cannot be."""
    name = typed.get("preset") or file.get("preset")
    if name is None or name == "":
        return str(TrainConfig.model_fields["preset"].default) if parent is None else _FINETUNE
    if not isinstance(name, str) or name not in PRESETS:
        hint, word = "presets: " + ", ".join(PRESETS), name if isinstance(name, str) else ""
        raise UsageError(f"unknown preset {shown(name)}", did_you_mean(word, PRESETS, hint))
    if parent is not None and PRESETS[name].settings.keys() & set(_SHAPE):
        raise UsageError(
            f"preset {name!r} says what shape a model has, and {shown(parent)} has its own",
            f"leave the preset out, or say {_FINETUNE}",
        )
    return name


def _recipe(preset: str, has_parent: bool, shape: ModelShape | None) -> dict[str, object]:
    """Return what a preset sets; that of a model to start from falls with its width.

    Of activations no more is dropped than the model was trained with.
    """
    settings = PRESETS[preset].settings
    if not has_parent:
        return settings
    recipe = dict(settings)
    if shape:
        if isinstance(rate := recipe["learning_rate"], float):
            recipe["learning_rate"] = _for_width(rate, shape)
        if isinstance(share := recipe.get("dropout"), float):
            recipe["dropout"] = min(share, FAMILIES[shape.arch].DROPOUT)
        if shape.n_embd >= _WIDE and shape.block_size > _WINDOW:
            recipe |= {"block_size": _WINDOW, "batch_size": _TOKENS // _WINDOW}
    return recipe


def _lora_recipe(shape: ModelShape | None) -> dict[str, object]:
    """What adapters are trained with under any preset: they begin at zero and need no decay."""
    return {
        "optimizer": "adamw",
        "learning_rate": _for_width(LORA_RATE, shape),
        "min_lr": 0.0,
        "weight_decay": 0.0,
    }


def _for_width(rate: float, shape: ModelShape | None) -> float:
    """The rate of a model 128 wide for a wider one: the wider, the gentler."""
    return float(f"{rate * min(1.0, 128 / (shape.n_embd if shape else 128)):.2g}")


def _shape_taken_over(values: Mapping[str, object], shape: ModelShape) -> dict[str, object]:
    """Return the settings that a model decides; raises UsageError for one set otherwise.

    block_size may be smaller: the model then learns from shorter windows and keeps its context.
    """
    model = shape.init_from
    said = {key: values[key] for key in _SHAPE if values.get(key) not in (None, "auto")}
    for key, value in said.items():
        if key in ("bias", "positions"):
            raise UsageError(f"{key} cannot be set: the model {model!r} brings its own")
        if (own := getattr(shape, key)) is None:
            continue
        shorter = key == "block_size" and isinstance(value, int) and value < shape.block_size
        if value != own and not shorter:
            raise UsageError(
                f"{key} cannot be {shown(value)}: the model {model!r} has {own!r}",
                "leave it out, or train without --from",
            )
    window = said.get("block_size") or max(2, shape.block_size)  # 2 is the least there is
    kind = shape.tokenizer or said.get("tokenizer", "auto")
    kind = "auto" if kind == "hf" else kind  # of another family: it comes with the model alone
    return {**asdict(shape), "block_size": window, "tokenizer": kind, "vocab_size": None}


def _only_of_gpt2(values: Mapping[str, object], asked: Mapping[str, object]) -> dict[str, object]:
    """Return what a preset's biases and learned positions become where the blocks have none.

    Raises UsageError for such a setting that was `asked` for.
    """
    arch = values.get("arch", _default("arch"))
    with suppress(TuillmError):  # what cannot be a new model is refused later, with all others
        if arch not in FAMILIES or has_learned_positions(str(arch)):
            return {}
    for key in _OF_GPT2:
        if asked.get(key, _default(key)) != _default(key):
            raise UsageError(
                f"{key} cannot be {shown(asked[key])}: arch {shown(arch)} has its own",
                f"leave it out, or say arch {_default('arch')}",
            )
    return {key: _default(key) for key in _OF_GPT2}


def _default(key: str) -> object:
    return TrainConfig.model_fields[key].default


def _below(rate: object, floor: object) -> bool:
    """Whether a rate is below a floor; what is no number is refused later, with all the others."""
    return isinstance(rate, int | float) and isinstance(floor, int | float) and rate < floor


def _checked(kind: type[Config], values: Mapping[str, object]) -> dict[str, object]:
    """Return one layer with each single value as its setting has it; raises UsageError."""
    known = {setting.name: setting for setting in settings_of(kind)}
    checked = dict(values)
    for key, value in values.items():
        setting = _known(kind, known, key)
        if not setting.several and key not in _AS_THEY_ARE:
            checked[key] = check_setting(kind, key, value)
    return checked


def _known(kind: type[BaseModel], known: Mapping[str, Setting], key: str) -> Setting:
    """Return the setting of a name; raises UsageError that says what was meant."""
    if key in known:
        return known[key]
    training = kind is TrainConfig
    others: dict[str, str] = {
        each.name: f"{each.name}, of {_WHERE[not training]}"
        for each in settings_of(SamplingConfig if training else TrainConfig)
    }
    others |= {
        "prompt": "the first argument of generate",
        "num_samples": "num_samples, of Sampler.generate and tuillm generate",
    }
    hint = pointer(key, {name: name for name in known}, others)
    usual = f"tuillm {'train' if training else 'generate'} --help lists them all"
    raise UsageError(f"unknown setting {shown(key)}", hint or usual)


def _validated(kind: type[Config], values: Mapping[str, object]) -> Config:
    known = {setting.name: setting for setting in settings_of(kind)}
    for key in values:
        _known(kind, known, key)
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
    if not first["loc"]:
        raise UsageError(str(first["msg"]).removeprefix("Value error, "))
    raise refused(known[str(first["loc"][0])], first["input"])
