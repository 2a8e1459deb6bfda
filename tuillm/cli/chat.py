"""`tuillm chat`: opens the REPL on a model; with a pipe on either side it is a filter."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from tuillm.cli.generate import read_prompt, read_system
from tuillm.cli.offer_checkpoint import check_trained, offer_checkpoint
from tuillm.cli.options import (
    GroupedCommand,
    context_option,
    device_options,
    draft_option,
    setting_options,
    typed,
)
from tuillm.cli.output import say
from tuillm.cli.pull import offer_pull
from tuillm.cli.reply_output import filter_options, write_reply
from tuillm.config import SamplingConfig, build_sampling
from tuillm.errors import UsageError

if TYPE_CHECKING:
    from tuillm.store.sessions import SessionHead

_LATEST = "\0"  # no name of a conversation


@click.command("chat", cls=GroupedCommand)
@click.argument("name", required=False)
@filter_options
@draft_option
@context_option
@device_options()
@click.option(
    "--continue",
    "go_on",
    is_flag=False,
    flag_value=_LATEST,
    metavar="[ID]",
    help="Take up the latest conversation, or one by its id or its name.",
)
@click.option(
    "--system",
    metavar="TEXT",
    help="How the model is to answer, in its chat template; FILE:path reads a file.",
)
@click.option("--no-history", is_flag=True, help="Write nothing down.")
@click.option("--vi", is_flag=True, help="vi keys on the prompt.")
@setting_options(SamplingConfig, short={"max_new_tokens": "-n"})
def chat_command(
    name: str | None,
    stats: bool,
    as_json: bool,
    draft: str | None,
    context: int | None,
    device: str,
    dtype: str,
    go_on: str | None,
    system: str | None,
    no_history: bool,
    vi: bool,
    **settings: object,
) -> None:
    """Talk to the model NAME: a name of the registry, or a model folder.

    Short names such as smollm2 and gpt2 (tuillm pull lists them) and ORG/NAME are fetched from the
    Hugging Face hub when they are not here yet and you agree. While NAME is still being trained you
    may talk to its run's checkpoint, which is called RUN/best.

    Ctrl-C stops a reply, Ctrl-D leaves, /help explains. In a pipe it is a filter: it reads one
    message from stdin and writes the model's reply, and nothing else, to stdout.
    """
    if name is None:  # in `chat --continue book` book is the model
        name, go_on = go_on, _LATEST
        if name in (None, _LATEST):
            raise UsageError("chat wants the name of a model", "tuillm list shows them")
    assert name is not None
    chosen = typed(settings)
    build_sampling(chosen)  # a wrong value is told before a model is looked for
    told = read_system(system)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if go_on:
            raise UsageError("--continue is for a terminal", "in a pipe each message stands alone")
        _filter(name, chosen, device, dtype, draft, context, stats, as_json, told)
    elif stats or as_json:
        option = "--json" if as_json else "--stats"
        raise UsageError(f"{option} is for pipes", f"echo TEXT | tuillm chat {name} {option}")
    else:
        from tuillm.store.run_checkpoints import checkpoint_path

        name = offer_checkpoint(name)
        name = name if checkpoint_path(name) else offer_pull(name)
        open_chat(
            name,
            chosen,
            device,
            dtype,
            draft=draft,
            context=context,
            keep=not no_history,
            go_on=_which(go_on),
            vi=vi,
            system=told,
        )


def open_chat(
    name: str,
    settings: Mapping[str, object] | None = None,
    device: str = "auto",
    dtype: str = "auto",
    *,
    draft: str | None = None,
    context: int | None = None,
    keep: bool = True,
    go_on: "bool | SessionHead" = False,
    vi: bool = False,
    system: str = "",
) -> None:
    """Open the chat; returns when the person leaves it.

    `settings` are those that a person has chosen. `draft` is a smaller model that drafts, `context`
    how many tokens the model has in view, None as many as usual. `keep` writes history and
    conversations down; `go_on` takes up a conversation, or the latest. `system` is a system text.
    Raises UsageError where the model takes none.
    """
    from tuillm.store.chat_template import mode_of, refuse_system
    from tuillm.store.model_sampling import model_sampling
    from tuillm.store.run_checkpoints import resolve_model

    model = resolve_model(name)  # a wrong name is told before anything is loaded
    if system:
        refuse_system(mode_of(model), model.name)
    drafting = None if draft is None else resolve_model(draft)
    from tuillm.chat.repl import Repl

    Repl(
        model,
        build_sampling(settings or {}, model_sampling(model.path)),
        device,
        dtype,
        drafting=drafting,
        context=context,
        keep=keep,
        go_on=go_on,
        vi=vi,
        system=system,
    ).run()


def _which(go_on: str | None) -> "bool | SessionHead":
    """The conversation that --continue names, True for the latest one."""
    from tuillm.store.sessions import find_session

    return go_on == _LATEST if go_on in (None, _LATEST) else find_session(str(go_on))


def _filter(
    name: str,
    settings: Mapping[str, object],
    device: str,
    dtype: str,
    draft: str | None,
    context: int | None,
    stats: bool,
    as_json: bool,
    system: str,
) -> None:
    """Reply once to what stdin says."""
    from tuillm.store.chat_template import mode_of, refuse_system
    from tuillm.store.model_sampling import model_sampling
    from tuillm.store.run_checkpoints import resolve_model
    from tuillm.store.usage import using

    check_trained(name)
    model = resolve_model(name)
    mode, config = mode_of(model), build_sampling(settings, model_sampling(model.path))
    if system:
        refuse_system(mode, model.name)
    if sys.stdin.isatty():
        say("type your message, Ctrl-D ends it", aside=True)
    message = read_prompt("-")  # without its last line end: that is the chat's Enter
    with ExitStack() as used:
        used.enter_context(using(model.path, "chat"))
        if draft is not None:
            used.enter_context(using(resolve_model(draft).path, "chat"))
        from tuillm.generation import Sampler
        from tuillm.generation.questions import as_turn
        from tuillm.generation.thread_count import adapt

        adapt()
        sampler = Sampler(model.path, device=device, dtype=dtype, draft=draft, context=context)
        prompt, config = as_turn(mode, message, config, sampler.tokenizer, system)
        write_reply(sampler, prompt, config, as_json=as_json, stats=stats)
