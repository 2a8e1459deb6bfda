"""`tuillm demo`: the whole way once, on the bundled book."""

import sys

import click

from tuillm.cli.options import Number
from tuillm.cli.output import say
from tuillm.errors import UsageError


@click.command("demo")
@click.option("--chat/--no-chat", default=True, help="Open the chat afterwards [yes].")
@click.option("--again", is_flag=True, help="Grow the model anew, over the one of last time.")
@click.option(
    "--minutes",
    type=Number(float, 0.001, 100_000),
    default=1.0,
    metavar="N",
    help="How long to train [1].",
)
def demo_command(chat: bool, again: bool, minutes: float) -> None:
    """Let a model named `demo` learn the bundled book by heart (a minute), then talk to it."""
    from tuillm.cli.train import start
    from tuillm.store.demo_run import NAME, demo_config
    from tuillm.store.paths import models_dir

    name: str | None = NAME
    if again or not (models_dir() / NAME).exists():
        name = start(demo_config(minutes), replace=again)
    else:
        say(f"The model {NAME!r} is there already (grow it anew: tuillm demo --again).")
    if not chat or name is None:
        return
    if not sys.stdin.isatty():
        raise UsageError("the chat needs a terminal", "tuillm demo --no-chat")
    from tuillm.cli.chat import open_chat

    open_chat(name)
