"""The registry: one Hugging Face folder a model, with our card `tuillm.json` in it.

Knows cards, names and folders; what stands in the weights is `model`'s business. A damaged
folder is listed with what is wrong with it and never hides the others.
"""

import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from tuillm.config.families import FAMILIES, shape_of_config, weights_misfit
from tuillm.config.gpt_config import GPTConfig
from tuillm.config.model_shape import ModelShape
from tuillm.errors import TuillmError, brief, did_you_mean, nearest
from tuillm.formats.bounded_read import CONFIG_BYTES
from tuillm.formats.json_text import JsonObject
from tuillm.formats.not_finite import first_not_finite
from tuillm.formats.safetensors_header import largest_item, sizes_of
from tuillm.store.card import CARD, ModelCard, read_card
from tuillm.store.copy_files import copy_files
from tuillm.store.entry_names import check_name
from tuillm.store.files import (
    disk_error,
    hold,
    new_folder,
    read_json,
    recover_folder,
    remove_folder,
    write_json,
)
from tuillm.store.hub.hub_names import SHORT_NAMES, is_hub_name
from tuillm.store.locks import holder_of, is_held
from tuillm.store.paths import data_dir, ensure_dir, models_dir
from tuillm.store.temp_files import clear_leftovers, hidden_by_replacement, sync_folder
from tuillm.store.usage import refuse_if_used, using
from tuillm.store.user_profiles import move_profiles
from tuillm.user_paths import path_problem, user_path

WEIGHTS = "model.safetensors"
_LOCK = "registry.lock"


@dataclass(frozen=True)
class Model:
    """One folder of the registry; `problem` says in words why it cannot be used, or is ''."""

    name: str
    path: Path
    card: ModelCard
    config: JsonObject
    size: int
    problem: str = ""

    @cached_property
    def shape(self) -> GPTConfig | None:
        """What its `config.json` tells of, None where that is damaged or of another family."""
        with suppress(TuillmError):
            return self.checked_shape()
        return None

    def checked_shape(self) -> GPTConfig:
        """What its `config.json` tells of; raises TuillmError where that cannot be computed."""
        return shape_of_config(self.config, self.path / "config.json")

    @property
    def stored_bytes(self) -> int:
        """The bytes of a number in its weights; raises TuillmError for a damaged file."""
        return largest_item(self.path / WEIGHTS)

    def as_json(self) -> JsonObject:
        """The model as one flat JSON object (`tuillm show NAME --json`)."""
        names = ("family", "n_layer", "n_head", "n_embd", "block_size", "vocab_size")
        shape = {name: getattr(self.shape, name, None) for name in names}
        head = {"name": self.name, "path": str(self.path), "bytes": self.size}
        tail = {"problem": self.problem or None}
        return head | self.card.model_dump(mode="json") | shape | tail


def list_models() -> list[Model]:
    """Return all models of the registry by name, damaged ones included."""
    if not models_dir().is_dir():
        return []
    _put_all_back()
    names = (entry.name for entry in models_dir().iterdir() if entry.is_dir())
    return [
        read_model_entry(models_dir() / name) for name in sorted(names) if not name.startswith(".")
    ]


def get_model(name: str) -> Model:
    """Return one model of the registry; raises TuillmError naming the nearest."""
    path = models_dir() / name
    plausible = bool(name) and name == path.name and not name.startswith(".")
    if not plausible or not (os.path.isdir(path) or _put_back(path)):
        raise TuillmError(f"no model named {brief(name)}", _where_to_look(name))
    return read_model_entry(path)


def find_model(name_or_path: str | os.PathLike[str]) -> Model:
    """Return the usable model of a registry name or of a folder's path.

    A registry name wins over a folder of the same name. Raises TuillmError for an unknown
    name and for a damaged folder.
    """
    text = os.fspath(name_or_path)
    named = text == Path(text).name
    registered = named and os.path.isdir(models_dir() / text)
    # a name that is too long for any file is still looked for, and missed, in the registry
    folder = None if registered or (named and path_problem(text)) else user_path(text)
    if folder and os.path.isfile(folder / "config.json"):
        model = read_model_entry(folder.absolute())
    elif folder and not named and os.path.isdir(folder):
        raise TuillmError(f"the folder {text} holds no model", "a model folder has a config.json")
    else:
        model = get_model(text)
    if model.problem:
        hint = f"remove it with: tuillm rm {model.name}" if registered else ""
        raise TuillmError(f"model {model.name!r} cannot be used: {model.problem}", hint)
    return model


def shape_of(name_or_path: str | os.PathLike[str]) -> ModelShape:
    """Return what a model to start from decides, for config.build_train.

    Raises TuillmError for a model that is unknown, damaged or of a family that tuillm does not
    compute.
    """
    model = find_model(name_or_path)
    registered = model.path.parent == models_dir()
    shape = model.checked_shape()
    return ModelShape(
        model.name if registered else str(model.path),
        shape.family,
        shape.n_layer,
        shape.n_head,
        shape.n_embd,
        shape.block_size,
        shape.vocab_size,
        shape.tie_weights,
        model.card.tokenizer,
    )


def read_model_entry(path: Path) -> Model:
    """Return what a model folder says of itself; what is wrong with it stands in `problem`."""
    problem, config, card = "", {}, ModelCard()
    try:
        config = read_json(path / "config.json", CONFIG_BYTES)
        card = read_card(path)
        problem = _missing_parts(path) or _weights_problem(path, config)
    except TuillmError as error:
        problem = error.message
    except OSError as error:
        problem = f"{error.filename or path} cannot be read: {error.strerror}"
    return Model(path.name, path, card, config, _size(path), problem)


@contextmanager
def publish(name: str, card: ModelCard, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill with a model; it appears as `name` when the block ends well.

    Raises TuillmError when the name is taken and `replace` is not given, or the model to replace
    is in use: at the beginning, and at the end where that has come in the meantime. So it does for
    weights with NaN or infinity among them, wherever they are from.
    """
    check_name(name)
    with new_folder(models_dir() / name, partial(_may_take, name, replace)) as folder:
        yield folder
        _refuse_not_finite(folder, name)
        write_json(folder / CARD, card.model_dump(mode="json") | {"created": time.time()})


def _refuse_not_finite(folder: Path, name: str) -> None:
    try:
        tensor = first_not_finite(folder / WEIGHTS)
    except (TuillmError, OSError):
        return  # a folder that is damaged otherwise says so itself
    if tensor:
        raise TuillmError(
            f"{name!r} was not put into the registry: its tensor {tensor} has NaN or "
            "infinity in it",
            "its training ran away, or its file is damaged",
        )


def rename_model(old: str, new: str) -> None:
    """Give a model another name, under which its profiles are found as well.

    Raises TuillmError when that is taken or the model is in use.
    """
    check_name(new)
    if new == old:
        raise TuillmError(f"{old!r} is its name already")
    with registry_lock():
        model = get_model(old)
        refuse_if_used(old, "rename")
        refuse_if_taken(new)
        try:
            os.rename(model.path, models_dir() / new)
            sync_folder(models_dir())
        except OSError as error:
            raise disk_error(error, models_dir() / new) from None
        with suppress(TuillmError):
            move_profiles(old, new)


def copy_model(source: str, target: str) -> None:
    """Copy a model under another name; its card names the source as parent."""
    check_name(target)
    model, destination = get_model(source), models_dir() / target
    with using(model.path, "a copy"), new_folder(destination, partial(_may_take, target)) as folder:
        copy_files(model.path, folder)
        card = model.card.model_copy(update={"parent": source})
        write_json(folder / CARD, card.model_dump(mode="json"))


def remove_model(name: str) -> None:
    """Remove a model and its profiles; raises TuillmError when it is unknown or in use."""
    with registry_lock():
        model = get_model(name)
        refuse_if_used(name, "remove")
        remove_folder(model.path)
        with suppress(TuillmError):  # a model of this name to come is another one
            move_profiles(name, None)


def free_name(name: str) -> str:
    """Return `name`, or `name-2`, `name-3`... whichever is not taken."""
    taken = {model.name for model in list_models()}
    candidates = [name] + [f"{name[:58]}-{number}" for number in range(2, len(taken) + 3)]
    return next(candidate for candidate in candidates if candidate not in taken)


def refuse_if_taken(name: str, hint: str = "choose another name") -> None:
    """Raise TuillmError, with `hint`, when the registry has a model of this name."""
    if (models_dir() / name).exists():
        raise TuillmError(f"a model named {name!r} already exists", hint)


@contextmanager
def registry_lock() -> Iterator[None]:
    """Hold the one lock that guards changes of the registry; raises TuillmError after 30 s."""
    ensure_dir(models_dir())
    path = data_dir() / _LOCK

    def refusal() -> TuillmError:
        return TuillmError(f"another tuillm is changing the registry{holder_of(path)}", "try again")

    with hold(path, refusal, wait=30):
        for name in hidden_by_replacement(models_dir()):
            recover_folder(models_dir() / name)
        clear_leftovers(models_dir(), before=True)
        yield


@contextmanager
def _may_take(name: str, replace: bool = False) -> Iterator[None]:
    """Hold the registry where a model may take this name; raises TuillmError where it may not."""
    with registry_lock():
        if replace:
            refuse_if_used(name, "replace")
        else:
            refuse_if_taken(name)
        yield


def _put_back(path: Path) -> bool:
    """Whether a model came back that a crash in the middle of its replacement had hidden."""
    if not any(path.parent.glob(f".{glob.escape(path.name)}.old.*")):
        return False
    with registry_lock():
        return path.is_dir()


def _put_all_back() -> None:
    """Put back the models that crashes have hidden, unless another is changing the registry."""
    if hidden_by_replacement(models_dir()) and not is_held(data_dir() / _LOCK):
        with suppress(TuillmError), registry_lock():
            pass


def _where_to_look(name: str) -> str:
    """Return the hint for a model that is not there: the nearest, the hub's, how to grow one."""
    known = [model.name for model in list_models()]
    if name in SHORT_NAMES:
        return f"tuillm pull {name}"
    if is_hub_name(name):
        return did_you_mean(name, known, f"tuillm pull {name}")
    if short := "" if nearest(name, known) else nearest(name, SHORT_NAMES):
        return f"did you mean {brief(short)}? tuillm pull {short}"
    otherwise = "tuillm list shows them" if known else "tuillm train BOOK.txt grows one"
    return did_you_mean(name, known, otherwise)


def _missing_parts(path: Path) -> str:
    older = all((path / part).is_file() for part in ("vocab.json", "merges.txt"))
    for part in (WEIGHTS, *([] if older else ["tokenizer.json"])):
        if not (path / part).is_file():
            return f"{path / part} is missing"
    return ""


def _weights_problem(path: Path, config: JsonObject) -> str:
    """Say why the weights of a folder are not those that its config tells of, or ''.

    What is of another architecture is told when it is opened.
    """
    found = sizes_of(path / WEIGHTS)
    if config.get("model_type") not in FAMILIES:
        return ""
    reason = weights_misfit(found, shape_of_config(config, path / "config.json"))
    return f"{path / WEIGHTS} does not fit its config.json: {reason}" if reason else ""


def _size(path: Path) -> int:
    try:
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    except OSError:
        return 0  # another process has just removed it, or it is not ours to look into
