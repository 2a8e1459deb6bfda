"""`tuillm compare`: several models, one prompt, one seed; columns, plain text, Markdown or JSON."""

import io
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tuillm.cli.generate import keep_newline_option, read_prompt, read_question
from tuillm.cli.options import GroupedCommand, device_options, setting_options, typed
from tuillm.cli.output import write_page
from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling_config import DEFAULT_PROMPT
from tuillm.errors import UsageError

if TYPE_CHECKING:
    from tuillm.chat.compare.comparison import OwnPrompt
    from tuillm.generation import Sampler
    from tuillm.store.chat_template import ChatMode
    from tuillm.store.registry import Model

_MOST = 4


@click.command("compare", cls=GroupedCommand)
@click.argument("names", nargs=-1, required=True, metavar="A B")
@click.option(
    "-p",
    "--prompt",
    default=DEFAULT_PROMPT,
    metavar="TEXT",
    help="Text to continue; FILE:path reads a file, - reads stdin [a newline].",
)
@click.option(
    "-q", "--question", metavar="TEXT", help="Ask each model in its own chat template instead."
)
@keep_newline_option
@click.option("--markdown", is_flag=True, help="Print a page in Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for programs.")
@device_options()
@setting_options(SamplingConfig, short={"max_new_tokens": "-n"})
def compare_command(
    names: tuple[str, ...],
    prompt: str,
    question: str | None,
    keep_newline: bool,
    markdown: bool,
    as_json: bool,
    device: str,
    dtype: str,
    **settings: object,
) -> None:
    """Let the models A and B continue the same words, or answer the same question, with the same
    seed, side by side.

    Each is a name of the registry or a model folder, such as runs/ID/best and runs/ID/last; up to
    four may be named. Ctrl-C stops all and keeps what was said.
    """
    config = build_sampling(typed(settings))
    if not 2 <= len(names) <= _MOST:
        raise UsageError(
            f"{len(names)} model{'s were' if len(names) > 1 else ' was'} named",
            f"compare takes 2 to {_MOST}",
        )
    if markdown and as_json:
        raise UsageError("--markdown and --json do not go together", "choose one")
    asked = read_question(question, prompt, keep_newline)
    text = asked or read_prompt(prompt, keep_newline=keep_newline)
    from tuillm.store.chat_template import COMPLETION, question_mode
    from tuillm.store.run_checkpoints import resolve_model
    from tuillm.store.usage import using

    found = [resolve_model(name) for name in names]  # told before torch is loaded
    hint = "-p TEXT continues a text"
    modes = [
        question_mode(model, name, hint) if asked else COMPLETION
        for name, model in zip(names, found, strict=True)
    ]
    with ExitStack() as marks:
        for model in found:
            marks.enter_context(using(model.path, "compare"))
        models = _load(found, device, dtype)
        prompts = _own_prompts(models, modes, asked, config) if asked else []
        form = "markdown" if markdown else "json" * as_json
        if not _compare(models, text, config, prompts, form):
            raise click.Abort


def _load(found: "list[Model]", device: str, dtype: str) -> "list[tuple[Model, Sampler]]":
    """Return each model with its Sampler, loaded once even if it was named twice."""
    from tuillm.generation import Sampler
    from tuillm.generation.thread_count import adapt

    adapt()
    paths = dict.fromkeys(model.path for model in found)
    loaded = {path: Sampler(path, device=device, dtype=dtype) for path in paths}
    return [(model, loaded[model.path]) for model in found]


def _own_prompts(
    models: "list[tuple[Model, Sampler]]",
    modes: "list[ChatMode]",
    question: str,
    config: SamplingConfig,
) -> "list[OwnPrompt]":
    """What each model reads of a question."""
    from tuillm.chat.compare.comparison import OwnPrompt
    from tuillm.generation.questions import as_turn

    return [
        OwnPrompt(*as_turn(mode, question, config, sampler.tokenizer))
        for (_, sampler), mode in zip(models, modes, strict=True)
    ]


def _compare(
    models: "list[tuple[Model, Sampler]]",
    prompt: str,
    config: SamplingConfig,
    prompts: "list[OwnPrompt]",
    form: str,
) -> bool:
    """Show or print the comparison; return whether all replies came to their end."""
    from tuillm.chat.compare.comparison import compare_models
    from tuillm.chat.compare.report import as_json, as_markdown

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    if form:
        comparison = compare_models(models, prompt, config, prompts)
        results = comparison.run()
        write_page((as_json if form == "json" else as_markdown)(comparison))
    else:
        from tuillm.chat.compare.columns import show_comparison

        results = show_comparison(models, prompt, config, prompts=prompts)
    sys.stdout.flush()
    return all(result.finish for result in results)
