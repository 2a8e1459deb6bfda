"""`tuillm chat`: opens the REPL on a model."""

from typing import Any

import click

from tuillm.cli.options import GroupedCommand, setting_options, typed
from tuillm.config import SamplingConfig, build_sampling


@click.command("chat", cls=GroupedCommand)
@click.argument("name")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps [auto].")
@click.option("--dtype", default="auto", metavar="NAME", help="auto, float32 or bfloat16 [auto].")
@setting_options(SamplingConfig, short={"max_new_tokens": "-n"})
def chat_command(name: str, device: str, dtype: str, **settings: Any) -> None:
    """Talk to the model NAME: a name of the registry, or a model folder.

    Ctrl-C stops a reply, Ctrl-D leaves, /help explains.
    """
    open_chat(name, build_sampling(typed(settings)), device, dtype)


def open_chat(
    name: str, config: SamplingConfig | None = None, device: str = "auto", dtype: str = "auto"
) -> None:
    """Open the chat; returns when the person leaves it."""
    from tuillm.store.models import find_model
    from tuillm.store.usage import using

    model = find_model(name)  # a wrong name is told before anything is loaded
    with using(model.name, "chat"):
        from tuillm.chat.repl import Repl

        Repl(model, config or SamplingConfig(), device, dtype).run()
