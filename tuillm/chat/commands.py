"""The slash commands: their names, words of help, and completion. Knows no model."""

from dataclasses import dataclass
from typing import Any

from prompt_toolkit.completion import Completer, NestedCompleter

from tuillm.config import SamplingConfig, build_sampling, settings_of
from tuillm.errors import UsageError, did_you_mean

COMMANDS = {
    "help": "this page",
    "set": "change a setting: /set temperature 0.7",
    "show": "the settings, and what the model is",
    "regen": "take the last reply back and draw another",
    "clear": "forget the text and begin anew",
    "bye": "leave (so does Ctrl-D)",
}

KEYS = {
    "Enter": "send; on an empty line the model just goes on",
    "Ctrl-C": "stop the reply and keep what was said",
    "Ctrl-R": "search what you typed before",
    "Ctrl-D": "leave",
}


@dataclass(frozen=True)
class Command:
    """A slash command as typed: `/set temperature 0.7` is set with 'temperature 0.7'."""

    name: str
    rest: str


def parse(line: str) -> Command | None:
    """Return the command of a line, or None when it is text ('//' begins text with a slash).

    Raises UsageError naming the nearest command for an unknown one.
    """
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, rest = line[1:].strip().partition(" ")
    if name not in COMMANDS:
        raise UsageError(f"there is no command /{name}", did_you_mean(name, COMMANDS, "try /help"))
    return Command(name, rest.strip())


def apply_set(rest: str, config: SamplingConfig) -> SamplingConfig:
    """Return `config` changed by the words of a /set; raises UsageError when they do not fit."""
    name, _, value = rest.partition(" ")
    if not name or not value.strip():
        names = ", ".join(setting.name for setting in settings_of(SamplingConfig))
        raise UsageError("/set wants a name and a value, as in /set temperature 0.7", names)
    return build_sampling({name: _value(name, value.strip())}, config)


def _value(name: str, value: str) -> Any:
    if value.lower() in ("none", "auto", "off") and name in ("seed", "stop"):
        return None if name == "seed" else ()
    return value.replace("\\n", "\n").strip("\"'") if name == "stop" else value


def completer() -> Completer:
    """Complete commands and the names of settings."""
    settings = {setting.name: None for setting in settings_of(SamplingConfig)}
    return NestedCompleter.from_nested_dict(
        {f"/{name}": settings if name == "set" else None for name in COMMANDS}
    )


def help_text() -> str:
    """The page that /help shows."""
    rows = [(f"/{name}", words) for name, words in COMMANDS.items()] + list(KEYS.items())
    lines = [f"  {name:<8} {words}" for name, words in rows]
    settings = ", ".join(setting.name for setting in settings_of(SamplingConfig))
    return "\n".join([*lines, "", f"  settings: {settings}"])
