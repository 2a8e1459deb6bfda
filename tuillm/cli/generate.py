"""`tuillm generate`: text on stdout, nothing else."""

import re
import sys
from contextlib import ExitStack
from errno import EBADF

import click

from tuillm.cli.options import (
    GroupedCommand,
    Number,
    context_option,
    device_options,
    draft_option,
    setting_options,
    typed,
)
from tuillm.cli.reply_output import filter_options, write_reply
from tuillm.config import SamplingConfig, build_sampling
from tuillm.config.sampling_config import DEFAULT_PROMPT
from tuillm.errors import UsageError
from tuillm.formats.user_files import read_stream, read_typed, words_of
from tuillm.user_paths import user_path

_SURROGATES = re.compile("[\ud800-\udfff]")
keep_newline_option = click.option(
    "--keep-newline",
    is_flag=True,
    help="Keep the last line end of a prompt that comes from a file or stdin.",
)


@click.command("generate", cls=GroupedCommand)
@click.argument("name")
@click.option(
    "-p",
    "--prompt",
    default=DEFAULT_PROMPT,
    metavar="TEXT",
    help="Text to continue; FILE:path reads a file, - reads stdin [a newline].",
)
@click.option(
    "-q",
    "--question",
    metavar="TEXT",
    help="Ask in the model's chat template, and print the answer alone.",
)
@click.option(
    "--system",
    metavar="TEXT",
    help="How the model is to answer a question; FILE:path reads a file.",
)
@keep_newline_option
@click.option(
    "--num-samples",
    type=Number(int, 1, 1000),
    default=1,
    metavar="N",
    help="How many texts to write [1; at most 1000].",
)
@click.option("--echo/--no-echo", default=True, help="Print the prompt before the text [yes].")
@filter_options
@draft_option
@context_option
@device_options()
@setting_options(SamplingConfig, short={"max_new_tokens": "-n"})
def generate_command(
    name: str,
    prompt: str,
    question: str | None,
    system: str | None,
    keep_newline: bool,
    num_samples: int,
    echo: bool,
    stats: bool,
    as_json: bool,
    draft: str | None,
    context: int | None,
    device: str,
    dtype: str,
    **settings: object,
) -> None:
    """Print text that the model NAME writes: a name of the registry, or a model folder."""
    chosen = typed(settings)
    build_sampling(chosen)  # a wrong value is told before a model is looked for
    asked = read_question(question, prompt, keep_newline)
    text: str | list[int] = read_prompt(prompt, keep_newline=keep_newline)
    if system is not None and not asked:
        raise UsageError("a system text is for a question", "-q TEXT --system TEXT")
    told = read_system(system)
    from tuillm.store.chat_template import COMPLETION, question_mode, refuse_system
    from tuillm.store.model_sampling import model_sampling
    from tuillm.store.run_checkpoints import resolve_model
    from tuillm.store.usage import using

    model = resolve_model(name)  # a wrong name is told before torch is loaded
    config = build_sampling(chosen, model_sampling(model.path))
    mode = question_mode(model, name, f"tuillm generate {name} -p TEXT") if asked else COMPLETION
    if told:
        refuse_system(mode, model.name)
    with ExitStack() as used:
        used.enter_context(using(model.path, "generate"))
        if draft is not None:
            used.enter_context(using(resolve_model(draft).path, "generate"))
        from tuillm.generation import Sampler
        from tuillm.generation.questions import as_turn
        from tuillm.generation.thread_count import adapt

        adapt()
        sampler = Sampler(name, device=device, dtype=dtype, draft=draft, context=context)
        if asked:
            text, config = as_turn(mode, asked, config, sampler.tokenizer, told)
            echo = False
        write_reply(
            sampler,
            text,
            config,
            num_samples=num_samples,
            echo=echo,
            as_json=as_json,
            stats=stats,
            answer=bool(asked),
        )


def read_prompt(prompt: str, *, keep_newline: bool = False) -> str:
    """Return the prompt itself, or the text that `FILE:path` or `-` (stdin) stands for.

    The last line end of a file or of stdin is the shell's or the editor's and is dropped, unless
    `keep_newline`. Raises UsageError for what cannot be read or is no text.
    """
    if prompt != "-" and not prompt.startswith("FILE:"):
        if _SURROGATES.search(prompt):  # bytes that the shell passed on
            raise UsageError("the prompt is not UTF-8 text")
        return prompt
    if prompt == "-" and sys.stdin is None:
        raise UsageError("there is no stdin to read the prompt from", "type it: -p TEXT")
    where = "on stdin" if prompt == "-" else f"in {prompt[5:]}"
    try:
        text = read_stream(sys.stdin.buffer) if prompt == "-" else read_typed(user_path(prompt[5:]))
    except OSError as error:
        if prompt == "-" and error.errno == EBADF:
            raise UsageError(
                "stdin is closed, and the prompt was to come from it", "type it: -p TEXT"
            ) from None
        raise UsageError(f"cannot read the prompt {where}: {words_of(error)}") from None
    except ValueError as error:
        raise UsageError(f"the prompt {where} cannot be used: {error}") from None
    return text if keep_newline else text.removesuffix("\n").removesuffix("\r")


def read_question(question: str | None, prompt: str, keep_newline: bool) -> str:
    """Return what `-q` asks, "" without it; raises UsageError beside a prompt and for nothing."""
    if question is None:
        return ""
    if prompt != DEFAULT_PROMPT:
        raise UsageError("a prompt and a question cannot both be given", "-p TEXT, or -q TEXT")
    asked = read_prompt(question, keep_newline=keep_newline)
    if not asked.strip():
        raise UsageError("the question is empty", "-q 'Who speaks?'")
    return asked


def read_system(system: str | None) -> str:
    """Return the text that `--system` stands for, "" without it; raises UsageError for stdin."""
    if system == "-":
        raise UsageError("stdin is for what you say, not for --system", "--system FILE:path")
    return read_prompt(system).strip() if system else ""
