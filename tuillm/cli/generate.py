"""`tuillm generate`: text on stdout, nothing else."""

import sys
from pathlib import Path
from typing import Any

import click

from tuillm.cli.options import GroupedCommand, place_options, setting_options, typed
from tuillm.cli.writing import START, filter_options, write_reply
from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling import MOST_SAMPLES
from tuillm.errors import UsageError, shown


@click.command("generate", cls=GroupedCommand)
@click.argument("name")
@click.option("-p", "--prompt", default=START, metavar="TEXT",
              help="Text to continue; FILE:path reads a file, - reads stdin [a newline].")
@click.option("--num-samples", default=1, metavar="N", help="How many texts to write [1].")
@click.option("--echo/--no-echo", default=True, help="Print the prompt before the text [yes].")
@filter_options
@place_options()
@setting_options(SamplingConfig, short={"max_new_tokens": "-n"})
def generate_command(
    name: str, prompt: str, num_samples: int, echo: bool, stats: bool, as_json: bool, device: str,
    dtype: str, **settings: Any,
) -> None:
    """Print text that the model NAME writes: a name of the registry, or a model folder."""
    config = build_sampling(typed(settings))
    if not 1 <= num_samples <= MOST_SAMPLES:
        raise UsageError(f"--num-samples cannot be {shown(num_samples)}",
                         f"allowed: 1 to {MOST_SAMPLES}")
    text = read_prompt(prompt)
    from tuillm.store.models import find_model
    from tuillm.store.usage import using

    model = find_model(name)  # a wrong name is told before torch is loaded
    with using(model.name, "generate"):
        from tuillm.generation import Sampler

        sampler = Sampler(name, device=device, dtype=dtype)
        write_reply(sampler, text, config, num_samples=num_samples, echo=echo, as_json=as_json,
                    stats=stats)


def read_prompt(prompt: str) -> str:
    """Return the prompt itself, or the text that `FILE:path` or `-` (stdin) stands for."""
    try:
        if prompt == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        if prompt.startswith("FILE:"):
            return Path(prompt[5:]).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the prompt {prompt[5:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        where = "on stdin" if prompt == "-" else f"in {prompt[5:]}"
        raise UsageError(f"the prompt {where} is not UTF-8 text") from None
    return prompt
