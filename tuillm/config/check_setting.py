"""One setting at a time: is this a value for it, and if not, in words, what would be.

For forms and prompts, which check while a person types; `resolve` checks whole configs.
"""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tuillm.config.fields import Setting, settings_of
from tuillm.errors import UsageError
from tuillm.formats.user_files import shown


def check_setting(kind: type[BaseModel], name: str, value: object) -> object:
    """Return the value of a typed text for setting `name`; raises UsageError with the range.

    The word that help shows for a setting left alone (auto) is None for all but texts.
    Settings that take several texts are not split here: `value` may be a list of them.
    """
    setting, adapter = _adapter(kind, name)
    if setting.optional and setting.type is not str and value == setting.unset:
        return None
    try:
        return adapter.validate_python(value)
    except ValidationError:
        raise refused(setting, value) from None


def refused(setting: Setting, value: object) -> UsageError:
    """The error for a value that a setting cannot have: it names both and what is allowed."""
    given = shown(value, number=setting.type in (int, float))
    return UsageError(f"{setting.name} cannot be {given}", f"allowed: {setting.allowed}")


@lru_cache(maxsize=128)
def _adapter(kind: type[BaseModel], name: str) -> tuple[Setting, TypeAdapter[Any]]:
    setting = next(each for each in settings_of(kind) if each.name == name)
    info = kind.model_fields[name]
    annotated: Any = info.annotation
    if info.metadata:
        annotated = Annotated[info.annotation, *info.metadata]
    return setting, TypeAdapter(annotated, config={"allow_inf_nan": False})
