"""`tuillm list | show | rename | cp | rm`: the registry from the command line."""

import click

from tuillm.cli.output import (
    print_facts,
    print_json,
    print_table,
    refuse_unless_confirmed,
    say,
    yes_option,
)
from tuillm.store import registry
from tuillm.store.chat_template import mode_of
from tuillm.store.context_words import context_words
from tuillm.units import age, count, figure, size

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.command("list")
@_json
def list_command(as_json: bool) -> None:
    """List the models of the registry."""
    found = registry.list_models()
    if as_json:
        print_json([model.as_json() for model in found])
        return
    if not found:
        say("No models yet. Grow one: tuillm demo, or tuillm train BOOK.txt")
        return
    rows = [_row(model) for model in found]
    columns = ("name", "origin", "params", "tokens", "context", "bits/byte", "size", "made")
    print_table(columns, rows, right="params context bits/byte size")
    if not all(model.card.held_out for model in found):
        say("* of the text it learned by heart; nothing was held out")
    for model in found:
        if model.problem:
            say(f"{model.name}: {model.problem}")


@click.command("show")
@click.argument("name")
@_json
def show_command(name: str, as_json: bool) -> None:
    """Show what is known about the model NAME."""
    model = registry.get_model(name)
    values = model.as_json() | {"mode": mode_of(model).name}  # by the template in its folder, too
    if as_json:
        print_json(values)
        return
    shown = {key: value for key, value in values.items() if value not in (None, [], "")}
    shown["bytes"] = size(values["bytes"])
    shown["created"] = age(values["created"])
    if shape := model.shape:
        shown["context_memory"] = context_words(shape)
    print_facts(shown)


@click.command("rename")
@click.argument("old")
@click.argument("new")
def rename_command(old: str, new: str) -> None:
    """Rename the model OLD to NEW."""
    registry.rename_model(old, new)
    say(f"{old} is now {new}")


@click.command("cp")
@click.argument("source")
@click.argument("target")
def cp_command(source: str, target: str) -> None:
    """Copy the model SOURCE as TARGET."""
    registry.copy_model(source, target)
    say(f"copied {source} to {target}")


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
def rm_command(names: tuple[str, ...], yes: bool) -> None:
    """Remove the models NAME..."""
    # nothing is removed when one of them is not there
    all_of_it = sum(registry.get_model(name).size for name in names)
    refuse_unless_confirmed(f"Remove {', '.join(names)} ({size(all_of_it)})?", yes)
    for name in names:
        registry.remove_model(name)
        say(f"removed {name}")


def _row(model: registry.Model) -> tuple[str, ...]:
    card = model.card
    if model.problem:
        return (model.name, "damaged", "-", "-", "-", "-", size(model.size), age(card.created))
    quality = figure(card.bits_per_byte) + ("" if card.held_out else "*")
    return (
        model.name,
        card.origin,
        count(card.parameters),
        card.tokenizer or "-",
        str(model.shape.block_size if model.shape else "-"),
        quality,
        size(model.size),
        age(card.created),
    )
