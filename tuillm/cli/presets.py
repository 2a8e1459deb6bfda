"""`tuillm presets`: the recipes for training, and the values that one of them gives a run."""

import click

from tuillm.cli.output import print_json, print_table, say
from tuillm.config import PRESETS, Setting, TrainConfig, preset_values, settings_of

_NOT_A_RECIPES = ("corpus", "name", "preset", "init_from")


@click.command("presets")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def presets_command(name: str | None, as_json: bool) -> None:
    """List the presets of `tuillm train`, or show every value of the preset NAME.

    A star stands where a value is the preset's own and not the usual one.
    """
    if name is None:
        if as_json:
            print_json({each: preset.help for each, preset in PRESETS.items()})
            return
        width = max(map(len, PRESETS))
        for each, preset in PRESETS.items():
            say(f"{each:<{width}}  {preset.help}")
        return
    values = preset_values(name)
    name = str(values["preset"])
    if as_json:
        print_json({key: value for key, value in values.items() if key not in _NOT_A_RECIPES})
        return
    say(f"{name}: {PRESETS[name].help}")
    say()
    rows = [
        _row(setting, values, setting.name in PRESETS[name].settings)
        for setting in settings_of(TrainConfig)
        if setting.name not in _NOT_A_RECIPES
    ]
    print_table(("setting", "value", "what it is"), rows)
    say()
    say("* set by the preset")
    say(f"tuillm train BOOK.txt --preset {name}")


def _row(setting: Setting, values: dict[str, object], own: bool) -> tuple[str, str, str]:
    value = setting.words(values[setting.name]).strip("'")
    return setting.name, value + (" *" if own else ""), setting.help
