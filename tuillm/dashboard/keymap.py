"""A person's own keys: `keymap.toml` in the config directory.

    [keys]
    "models.chat" = "c,f5"

Knows the ids of all bindings by importing the screens and widgets, when a key map asks for it.
"""

import pkgutil
from importlib import import_module

from textual.binding import Binding
from textual.dom import DOMNode

from tuillm.errors import TuillmError, did_you_mean
from tuillm.formats.user_files import read_toml_file, shown, words_of
from tuillm.store.paths import config_dir

FILE = "keymap.toml"


def read_keymap() -> tuple[dict[str, str], list[TuillmError]]:
    """Return keys by binding id, and what is wrong with the lines that were passed over."""
    path = config_dir() / FILE
    try:
        content = read_toml_file(path)
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
        if name not in known:
            hint = did_you_mean(name, filter(None, known), "? shows the ids")
            errors.append(TuillmError(f"{path}: no key has the id {name!r}", hint))
        elif not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            hint = f'write it like "{name}" = "f5" or "f5,x"'
            errors.append(TuillmError(f"{path}: {name} is {shown(keys)}", hint))
        else:
            keymap[name] = keys
    return keymap, errors


def all_bindings() -> list[Binding]:
    """Return every binding of ours, with its id, in the order of their modules."""
    from tuillm.dashboard import app, screens, widgets

    modules = [app]
    for package in (screens, widgets):
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            modules.append(import_module(found.name))
    bindings: dict[str, Binding] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, DOMNode):
                for binding in vars(value).get("BINDINGS", ()):
                    if isinstance(binding, Binding) and binding.id:
                        bindings.setdefault(binding.id, binding)
    return list(bindings.values())
