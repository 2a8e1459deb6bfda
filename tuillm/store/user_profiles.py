"""A person's own sampling profiles, by model: one small file in the data directory.

Knows names and settings; a model's folder is never written to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling_profiles import PROFILES, profile_settings
from tuillm.errors import TuillmError, UsageError, did_you_mean
from tuillm.formats.json_text import JsonObject
from tuillm.store.entry_names import check_name
from tuillm.store.files import hold, read_json, write_json
from tuillm.store.paths import data_dir, ensure_dir
from tuillm.store.temp_files import clear_leftovers


def save_profile(model: str, name: str, config: SamplingConfig) -> None:
    """Keep how `config` chooses tokens as a profile of a model, in place of one of that name.

    Raises UsageError for a name that cannot be one or is a shipped profile's, TuillmError when
    the file is damaged or the disk refuses.
    """
    check_name(name)
    if name in PROFILES:
        raise UsageError(f"the profile {name!r} comes with tuillm", "choose another name")
    _change(model, name, profile_settings(config))


def remove_profile(model: str, name: str) -> None:
    """Forget a profile; raises TuillmError naming the nearest for an unknown one."""
    known = profiles_of(model)
    if name not in known:
        raise TuillmError(f"{model!r} has no profile {name!r} of yours", did_you_mean(name, known))
    _change(model, name, None)


def profiles_of(model: str) -> dict[str, dict[str, object]]:
    """Return the profiles that were saved for a model: name to settings, all of them valid.

    Raises TuillmError when the file is damaged.
    """
    try:
        found: dict[str, dict[str, object]] = dict(_read().get(model, {}))
        for settings in found.values():
            build_sampling(settings)
    except (UsageError, TypeError, ValueError) as error:
        raise TuillmError(f"{_file()} is damaged: {error}") from None
    return found


def move_profiles(model: str, name: str | None) -> None:
    """Let the profiles of a model be those of the model `name`, or of none.

    Raises TuillmError when the file is damaged or the disk refuses.
    """
    if not _file().exists():
        return
    with _held():
        whole = _read()
        if own := whole.pop(model, None):
            _write(whole | ({name: own} if name else {}))


def _change(model: str, name: str, settings: dict[str, object] | None) -> None:
    with _held():
        own = profiles_of(model)
        own.pop(name, None)
        if settings is not None:
            own[name] = settings
        _write(_read() | {model: own})


@contextmanager
def _held() -> Iterator[None]:
    ensure_dir(data_dir())
    locked = TuillmError(f"{_file()} is locked by another tuillm", "try again")
    with hold(data_dir() / "profiles.json.lock", lambda: locked, wait=10):
        clear_leftovers(data_dir())
        yield


def _write(whole: JsonObject) -> None:
    write_json(_file(), {key: value for key, value in whole.items() if value})


def _read() -> JsonObject:
    return read_json(_file()) if _file().exists() else {}


def _file() -> Path:
    return data_dir() / "profiles.json"
