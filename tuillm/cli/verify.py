"""`tuillm verify`: whether models are in transformers what they are here."""

from typing import TYPE_CHECKING

import click

from tuillm.cli.output import print_json, say

if TYPE_CHECKING:
    from tuillm.convert.compare_transformers import Check


@click.command("verify")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def verify_command(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Open each model NAME in transformers, as its folder lies, and compare.

    Token ids of a varied text, logits, greedy text, the number of parameters. The exit code is 1
    when anything differs.
    """
    from tuillm.convert.compare_transformers import verify

    checks: dict[str, list[Check]] = {name: [] for name in names}
    for name in names:
        if not as_json:
            say(f"{name}:")
        for check in verify(name):
            checks[name].append(check)
            if not as_json:
                say(f"  {'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.found}")
    if as_json:
        print_json({name: [vars(check) for check in found] for name, found in checks.items()})
    if not all(check.passed for found in checks.values() for check in found):
        ctx.exit(1)
