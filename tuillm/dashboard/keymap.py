"""A person's own keys: `keymap.toml` in the config directory.

    [keys]
    "models.chat" = "c,f5"

Knows the ids of all bindings by importing the screens and widgets, when a key map asks for it.
"""

import pkgutil
import re
from importlib import import_module

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, key_to_character

from tuillm.errors import TuillmError, did_you_mean
from tuillm.formats.user_files import parse_toml, read_typed, shown, words_of
from tuillm.store.paths import config_dir

FILE = "keymap.toml"


def read_keymap() -> tuple[dict[str, str], list[TuillmError]]:
    """Return keys by binding id, and what is wrong with some lines, each with its number.

    A line that means nothing is passed over; one whose key is another's as well is told and holds.
    """
    path = config_dir() / FILE
    try:
        text = read_typed(path)
        content = parse_toml(text)
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [
            TuillmError(f"{path} cannot be read: {words_of(error)}", "the usual keys are in use")
        ]
    table = content.get("keys", content)
    if not isinstance(table, dict):
        return {}, [TuillmError(f"{path}: keys is {shown(table)}", "it is a table: [keys]")]
    known = {binding.id for binding in all_bindings()}
    keymap: dict[str, str] = {}
    errors = []
    for name, keys in table.items():
        where = f"{path}:{_line_of(text, name)}"
        if name not in known:
            hint = did_you_mean(name, filter(None, known), "? shows the ids")
            errors.append(TuillmError(f"{where}: no key has the id {name!r}", hint))
        elif not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            hint = f'write it like "{name}" = "f5" or "f5,x"'
            errors.append(TuillmError(f"{where}: {name} is {shown(keys)}", hint))
        elif unknown := [key for key in _keys(keys) if not _is_key(key)]:
            hint = did_you_mean(unknown[0], _NAMES, "a key is like f5, ctrl+g, x or slash")
            errors.append(TuillmError(f"{where}: there is no key {unknown[0]!r}", hint))
        else:
            keymap[name] = keys
    for name, key, other in _collisions(keymap):
        where = f"{path}:{_line_of(text, name)}"
        errors.append(
            TuillmError(f"{where}: {name} takes {key!r}, the key of {other}", "give one another")
        )
    return keymap, errors


_NAMES = sorted({key.value for key in Keys if key.value.isidentifier()})
_MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",")]


def _is_key(key: str) -> bool:
    """Whether Textual knows a key of this name."""
    *modifiers, base = key.split("+") if len(key) > 1 else [key]
    named = len(base) == 1 or base in _NAMES or key_to_character(base) is not None
    return named and set(modifiers) <= _MODIFIERS


def _line_of(text: str, name: str) -> int:
    """The number of the line that sets `name`, 1 the first."""
    before = re.search(rf"""^[ \t]*["']?{re.escape(name)}["']?[ \t]*=""", text, re.MULTILINE)
    return text.count("\n", 0, before.start()) + 1 if before else 1


def _collisions(keymap: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return each id of a key map with the key that another id on the same screen has as well."""
    found: dict[tuple[str, str], str] = {}
    for ids in _together():
        taken: dict[str, str] = {}
        for name, usual in ids.items():
            for key in _keys(keymap.get(name, usual)):
                other = taken.setdefault(key, name)
                meant = key in _keys(usual) and key in _keys(ids[other])  # never offered together
                if other != name and not meant and (name in keymap or other in keymap):
                    ours, theirs = (name, other) if name in keymap else (other, name)
                    found.setdefault((ours, key), theirs)
    return [(name, key, other) for (name, key), other in found.items()]


def _together() -> list[dict[str, str]]:
    """The ids that work at the same time, with their usual keys; the app's work on each screen."""
    from tuillm.dashboard.app import Dashboard
    from tuillm.dashboard.screens.base import BaseScreen

    everywhere = _usual_keys(Dashboard)
    return [
        everywhere | _usual_keys(kind) if issubclass(kind, BaseScreen) else _usual_keys(kind)
        for kind in _kinds()
    ]


def _usual_keys(kind: type[DOMNode]) -> dict[str, str]:
    """The keys of a class and its bases, by id."""
    return {
        binding.id: binding.key
        for base in reversed(kind.__mro__)
        for binding in vars(base).get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    }


def all_bindings() -> list[Binding]:
    """Return every binding of ours, with its id, in the order of their modules."""
    bindings: dict[str, Binding] = {}
    for kind in _kinds():
        for binding in vars(kind).get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                bindings.setdefault(binding.id, binding)
    return list(bindings.values())


def _kinds() -> list[type[DOMNode]]:
    """The app, the screens and the widgets of ours, in the order of their modules."""
    from tuillm.dashboard import app, screens, widgets

    modules = [app]
    for package in (screens, widgets):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            modules.append(import_module(found.name))
    kinds: dict[type[DOMNode], None] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, DOMNode):
                kinds.setdefault(value)
    return list(kinds)
