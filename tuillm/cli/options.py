"""Options made from settings: each declared field becomes an option, grouped in `--help`.

Knows click and the declarations; no option of a setting is written down anywhere else.
"""

from collections.abc import Callable
from typing import Any

import click
from pydantic import BaseModel

from tuillm.config import Setting, settings_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def setting_options(
    config: type[BaseModel], *, leave_out: tuple[str, ...] = (), short: dict[str, str] | None = None
) -> Decorator:
    """Add an option for each setting of a config; what was not typed is None (or ())."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(settings_of(config)):
            if setting.name not in leave_out:
                function = _option(setting, (short or {}).get(setting.name))(function)
        return function

    return decorate


def place_options(dtype: str = "auto") -> Decorator:
    """Add --device and --dtype, with the default that suits the command."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        device = click.option("--device", default="auto", metavar="NAME",
                              help="auto, cpu, cuda or mps [auto].")
        precision = click.option("--dtype", default=dtype, metavar="NAME",
                                 help=f"auto, float32, bfloat16 or int8 [{dtype}].")
        return device(precision(function))

    return decorate


def typed(values: dict[str, Any]) -> dict[str, Any]:
    """Return only the settings that were typed."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


class GroupedCommand(click.Command):
    """A command whose help lists its settings by their groups, after its own options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                group = getattr(parameter, "group", "") or "Options"
                groups.setdefault(group.capitalize(), []).append(record)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows)


class _SettingOption(click.Option):
    group = ""


def _option(setting: Setting, short: str | None) -> Decorator:
    flag = setting.flag
    switch = setting.type is bool
    names = [f"{flag}/--no-{flag[2:]}" if switch else flag, setting.name]
    one_of = setting.choices and not setting.several  # several may stand in one text
    kind: Any = click.Choice(setting.choices) if one_of else setting.type
    allowed = " | ".join(setting.choices) if setting.several else setting.range
    limits = f"; {allowed}" if allowed else ""

    class Option(_SettingOption):
        group = setting.group

    return click.option(
        *([short] if short else []), *names, cls=Option, default=None, multiple=setting.several,
        type=None if switch else kind, metavar=None if one_of or switch else "VALUE",
        help=f"{setting.help} [{setting.default_text}{limits}]",
    )
