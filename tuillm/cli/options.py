"""Options made from settings: each declared field becomes an option, grouped in `--help`.

Knows click and the declarations; no option of a setting is written down anywhere else.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import click
from pydantic import BaseModel

from tuillm.config import Setting, preset_values, read_toml, settings_of
from tuillm.config.fields import with_escapes
from tuillm.errors import TuillmError, UsageError
from tuillm.formats.user_files import shown

if TYPE_CHECKING:
    _Numbers = click.ParamType[int | float]
    _Texts = click.ParamType[object]
else:  # click 8.2 takes no type argument when it runs
    _Numbers = _Texts = click.ParamType

Command = TypeVar("Command", bound=Callable[..., object])

# what a context keeps for its help: the words typed, and the values that stand in brackets
_TYPED, _VALUES = "tuillm.typed", "tuillm.values"


def setting_options(
    config: type[BaseModel], *, leave_out: tuple[str, ...] = (), short: dict[str, str] | None = None
) -> Callable[[Command], Command]:
    """Add an option for each setting of a config; what was not typed is None (or ())."""

    def decorate(function: Command) -> Command:
        for setting in reversed(settings_of(config)):
            if setting.name not in leave_out:
                function = _option(setting, (short or {}).get(setting.name))(function)
        return function

    return decorate


def device_options(dtype: str = "auto") -> Callable[[Command], Command]:
    """Add --device and --dtype, with the default that suits the command."""

    def decorate(function: Command) -> Command:
        device = click.option(
            "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps [auto]."
        )
        precision = click.option(
            "--dtype",
            default=dtype,
            metavar="NAME",
            help=f"auto, float32, bfloat16 or int8 [{dtype}].",
        )
        return device(precision(function))

    return decorate


def draft_option(function: Command) -> Command:
    """Add --draft to a command that writes replies."""
    return click.option(
        "--draft",
        metavar="MODEL",
        help="A smaller model with the same tokenizer, which proposes tokens: faster, the same "
        "text.",
    )(function)


def context_option(function: Command) -> Command:
    """Add --context to a command that writes replies."""
    return click.option(
        "--context",
        type=Number(int, 1, 100_000_000),
        metavar="N",
        help="How many tokens the model has in view, what was said and what it replies [those it "
        "was made for, at most 8192, and what memory holds].",
    )(function)


def typed(values: dict[str, object]) -> dict[str, object]:
    """Return only the settings that were typed."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


class GroupedCommand(click.Command):
    """A command whose help lists its settings by their groups, after its own options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                group = getattr(parameter, "group", "") or "Options"
                groups.setdefault(group.capitalize(), []).append(record)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows)


class TrainingCommand(GroupedCommand):
    """Its help shows the values that a run has: those of the preset, the file, the model typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, wherever --help stands in it."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; the values stand in brackets, and whose they are stands above."""
        values = ctx.meta[_VALUES] = _values_of_run(self, ctx)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(
                f"In brackets stand the values of the preset {values['preset']}; "
                "tuillm presets NAME shows another one's."
            )
        super().format_options(ctx, formatter)


class SettingOption(click.Option):
    """The option of one setting; its help says what holds where it is not typed."""

    setting: Setting

    @property
    def group(self) -> str:
        """The heading it stands under."""
        return self.setting.group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its sentence, with value and range in brackets."""
        record, setting = super().get_help_record(ctx), self.setting
        values: Mapping[str, object] = ctx.meta.get(_VALUES, {})
        usual = setting.words(values.get(setting.name, setting.default))
        allowed = setting.range or (" | ".join(setting.choices) if setting.several else "")
        limits = f"; {allowed}" if allowed else ""
        return record and (record[0], f"{setting.help} [{usual}{limits}]")


class Number(_Numbers):
    """A number within limits, for an option that is no setting; refused in the words of those."""

    def __init__(self, kind: type[int] | type[float], low: float, high: float) -> None:
        self.name = "whole number" if kind is int else "number"
        self._kind, self._low, self._high = kind, low, high

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        """Return the number; raises UsageError with the limits for anything else."""
        try:
            number = self._kind(str(value))
            if self._low <= number <= self._high:
                return number
        except (ValueError, OverflowError):
            pass
        flag = max(param.opts, key=len) if param else self.name
        allowed = f"{self._low:.10g} <= {self.name} <= {self._high:.10g}"
        raise UsageError(f"{flag} cannot be {shown(value, number=True)}", f"allowed: {allowed}")


class Count(_Numbers):
    """A whole number that may be written short: 9B, 1.5M, 300k; refused in one line."""

    name = "count"
    _UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
    _MOST = 10**15

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; raises UsageError for what is none, or not from 2 to 1000T."""
        text = str(value).strip().lower()
        digits = text.rstrip("kmbt")
        unit = self._UNITS.get(text[len(digits) :])
        try:
            if unit and digits.replace(".", "", 1).isdecimal() and digits.isascii():
                number = round(float(digits) * unit)
                if 2 <= number <= self._MOST:
                    return number
        except (ValueError, OverflowError):
            pass
        flag = max(param.opts, key=len) if param else self.name
        raise UsageError(
            f"{flag} cannot be {shown(value, number=True)}",
            "allowed: 2 to 1000T, with K, M, B or T for thousands to trillions, such as 9B",
        )


class _Escaped(_Texts):
    """A text in which \\n is a line end."""

    name = "text"

    def convert(self, value: object, *_: object) -> object:
        return with_escapes(value) if isinstance(value, str) else value


def _values_of_run(command: click.Command, ctx: click.Context) -> dict[str, object]:
    """Return the values of a run with the preset, the file and the model that were typed."""
    wanted, _, _ = command.make_parser(ctx).parse_args(list(ctx.meta.get(_TYPED, ())))
    settings = {
        key: wanted[key]
        for key in ("preset", "init_from", "lora")
        if isinstance(wanted.get(key), str | bool)
    }
    preset_values(settings.get("preset"))  # a wrong name is told, a model that is gone is not
    if isinstance(file := wanted.get("config_file"), str):
        settings = read_toml(file) | settings
    from tuillm.store.registry import shape_of

    for find in (shape_of, None):
        try:
            return preset_values(None, settings, find)
        except TuillmError:
            continue
    return preset_values(settings.get("preset"))


def _option(setting: Setting, short: str | None) -> Callable[[Command], Command]:
    flag = setting.flag
    switch = setting.type is bool
    names = [f"{flag}/--no-{flag[2:]}" if switch else flag, setting.name]
    one_of = setting.choices and not setting.several  # several may stand in one text
    metavar = f"[{'|'.join(setting.choices)}]" if one_of else "VALUE"
    declared = setting

    class Option(SettingOption):
        setting = declared

    return click.option(
        *([short] if short else []),
        *names,
        cls=Option,
        default=None,
        multiple=setting.several,
        # texts, all of them: the declaration says what is a number, and words what is none
        type=None if switch else _Escaped() if setting.escapes else str,
        metavar=None if switch else metavar,
        help=setting.help,
    )
