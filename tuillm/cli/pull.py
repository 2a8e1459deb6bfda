"""`tuillm pull`: fetches a model from the hub with progress, and tells of pulls elsewhere.

Knows pulls and how they look on a terminal; what is fetched and checked is the store's business.
"""

import os
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuillm.cli.output import complain, confirm, print_json, print_table, say
from tuillm.cli.progress_views import progress_view
from tuillm.errors import TuillmError, UsageError
from tuillm.store.hub.hub_names import Source, hub_source, is_hub_name
from tuillm.store.paths import models_dir
from tuillm.units import count, duration, size

if TYPE_CHECKING:
    from tuillm.store.hub.offer import Offer
    from tuillm.store.registry import Model


@click.command("pull")
@click.argument("what", required=False, metavar="[NAME]")
@click.option("--name", metavar="N", help="What to call the model here [its name on the hub].")
@click.option("--revision", default="", metavar="R", help="A branch, a tag or a commit [main].")
@click.option("--replace", is_flag=True, help="Put it in the place of a model of the same name.")
@click.option("--cancel", is_flag=True, help="Stop the pull that goes on in another process.")
@click.option("--discard", is_flag=True, help="Throw away what has come of a pull.")
@click.option("--json", "as_json", is_flag=True, help="List the pulls as JSON, for programs.")
@click.option("--worker", is_flag=True, hidden=True)
def pull_command(
    what: str | None,
    name: str | None,
    revision: str,
    replace: bool,
    cancel: bool,
    discard: bool,
    as_json: bool,
    worker: bool,
) -> None:
    """Fetch the model NAME from the Hugging Face hub; without NAME, list the known ones.

    NAME is a short name of that list, such as smollm2 or gpt2, or ORG/NAME of any GPT-2, Llama,
    Qwen2 or Qwen3 with weights in safetensors; ORG/NAME@REVISION names a revision. What cannot be
    used is refused before its weights are fetched. Ctrl-C keeps what has come: the same command
    goes on from there, whenever.
    """
    if what is None:
        if cancel or discard or name or revision or replace:
            raise UsageError("no model was named", "tuillm pull gpt2")
        _list(as_json)
    elif as_json:
        raise UsageError("--json lists all pulls; it goes with no NAME", "tuillm pull --json")
    elif cancel or discard:
        if cancel and discard:
            raise UsageError("--cancel and --discard cannot be given together", "give one")
        if replace or revision:
            steer = "--discard" if discard else "--cancel"
            other = "--replace" if replace else "--revision"
            raise UsageError(f"{steer} does not go with {other}", f"tuillm pull {what} {steer}")
        _steer(name or (hub_source(what).name if is_hub_name(what) else what), discard)
    else:
        source = hub_source(what, revision)
        if not replace and (model := _there(source, name or source.name)):
            say(f"{source} is here already: tuillm chat {model.name}")
        else:
            fetch_model(source, name or source.name, replace=replace, keep_failure=worker)


def fetch_model(
    source: Source,
    name: str,
    *,
    replace: bool = False,
    keep_failure: bool = False,
    told: bool = False,
) -> "Model":
    """Pull a model with progress and tell what it is, unless that was `told`, and how it went.

    Returns it. Raises TuillmError when it cannot be had, click.Abort after Ctrl-C. What has come is
    kept, but for a pull that failed before it got to the weights, unless `keep_failure` leaves that
    to read.
    """
    from tuillm.store.hub.pull_model import Cancelled, pull

    again = f"tuillm pull {source}" + (f" --name {name}" if name != source.name else "")
    again += " --replace" if replace else ""
    view = progress_view(name, "asking the hub")
    try:
        with closing(view):
            model = pull(
                source,
                name,
                replace=replace,
                report=view.show,
                accept=_tokenizer_kind,
                present=lambda offer: view.tell([] if told else offer_lines(offer)),
            )
    except (KeyboardInterrupt, SystemExit, Cancelled) as end:
        complain(f"stopped; {_kept(name)} kept. Go on with: {again}")
        if not keep_failure:
            _forget_empty(name)
        if isinstance(end, SystemExit):  # SIGTERM
            raise
        raise click.Abort from None
    except TuillmError:
        if not keep_failure:
            _forget_empty(name)
        raise
    say(
        f"pulled {name}: {count(model.card.parameters)} parameters, {size(model.size)}, "
        f"checksums right. Talk to it: tuillm chat {name}; tuillm verify {name} compares it with "
        "transformers"
    )
    return model


def offer_pull(name: str) -> str:
    """Return the registry's name of what a person calls `name`, a terminal being at hand.

    A model of the hub that is not here is pulled if the person says so; else this ends the
    command. Other names come back as they are.
    """
    if not is_hub_name(name) or os.path.isdir(models_dir() / name) or os.path.isdir(name):
        return name
    from tuillm.store.hub.offer import offer_of
    from tuillm.store.hub.pull_model import pulled_from, refuse_other_owner

    source = hub_source(name)
    if model := pulled_from(source):
        return model.name
    refuse_other_owner(source, source.name)
    offer = offer_of(source)
    some = f" ({size(offer.here)} of it have come before)" if offer.here else ""
    for line in offer_lines(offer)[1:]:
        say(line)
    say(f"{source} is not here yet; it is {size(offer.size)}{some}.")
    if not confirm("Fetch it now?"):
        sys.exit(1)
    return fetch_model(source, source.name, told=True).name


def offer_lines(offer: "Offer") -> list[str]:
    """Say what a model of the hub is and takes on this machine."""
    shape, room = offer.shape, offer.free_memory
    if offer.memory <= room:
        memory = f"about {size(offer.memory)} of memory in bfloat16, {size(room)} are free"
    elif offer.memory // 2 <= room:
        memory = f"about {size(offer.memory // 2)} of memory in int8, {size(room)} are free"
    else:
        memory = (
            f"about {size(offer.memory // 2)} of memory even in int8, only {size(room)} is free"
        )
    return [
        f"{offer.plan.repo} at {offer.plan.commit[:7]}, {size(offer.size)}",
        f"{count(shape.parameter_count)} parameters, family {shape.family}, context "
        f"{shape.block_size:,}, licence {offer.plan.licence or 'not told on its page'}",
        f"takes {size(offer.room)} of the disk, {size(offer.free_disk)} are free; {memory}",
    ]


def _there(source: Source, name: str) -> "Model | None":
    """Return the model when this very pull has been done; throw away what was left of it."""
    from tuillm.store.hub.pull_folder import discard_pull, get_pull, refuse_other_source
    from tuillm.store.hub.pull_model import pulled_from

    model = pulled_from(source, name)
    if model:
        with suppress(TuillmError):  # nothing was left, or of another; it is just pulled anew
            refuse_other_source(get_pull(name), source)
            discard_pull(name)
    return model


def _steer(name: str, discard: bool) -> None:
    from tuillm.store.hub.pull_folder import cancel_pull, discard_pull

    if discard:
        discard_pull(name)
        say(f"threw away what had come of {name}")
    else:
        cancel_pull(name)
        say(f"asked the pull of {name} to stop; what has come is kept")


def _tokenizer_kind(folder: Path) -> str:
    """Return the kind of tokenizer in a folder; raises TuillmError for one we cannot read."""
    from tuillm.text.tokenizer_files import load_tokenizer

    return load_tokenizer(folder).kind


def _kept(name: str) -> str:
    from tuillm.store.hub.pull_folder import pull_of

    status = pull_of(name).status()
    return f"{size(status.done)} of {size(status.total)} are" if status.total else "nothing is"


def _forget_empty(name: str) -> None:
    """Leave no trace of a pull that never got to the weights; a later one starts anew."""
    from tuillm.store.hub.pull_folder import PULLING, discard_pull, has_weights, pull_of

    if pull_of(name).status().state not in PULLING and not has_weights(pull_of(name)):
        with suppress(TuillmError):
            discard_pull(name)


def _list(as_json: bool) -> None:
    from tuillm.store.hub.pull_folder import list_pulls

    pulls = list_pulls()
    if as_json:
        print_json([pull.as_json() for pull in pulls])
        return
    _list_known()
    if not pulls:
        return
    say()
    rows = [
        (
            status.name,
            str(status.source),
            status.state,
            f"{status.fraction:.0%}",
            size(status.total),
            f"{size(status.rate)}/s" if status.rate else "-",
            duration(status.eta),
        )
        for status in (pull.status() for pull in pulls)
    ]
    print_table(
        ("name", "from", "state", "here", "size", "rate", "left"), rows, right="here size rate left"
    )
    for pull in pulls:
        if error := pull.status().error:
            say(f"{pull.name}: {error}")


def _list_known() -> None:
    """Print the models that have a short name; those of the registry are marked."""
    from tuillm.store.hub.catalog import CATALOG

    here = set(os.listdir(models_dir())) if models_dir().is_dir() else set()
    rows = [
        (
            row.name,
            row.family,
            count(row.parameters),
            f"about {size(row.download)}",
            f"{row.context:,}",
            row.licence + (", gated" if row.gated else ""),
            "here" if row.name in here else "",
        )
        for row in CATALOG.values()
    ]
    columns = ("name", "family", "parameters", "size", "context", "licence", "")
    print_table(columns, rows, right="parameters size context")
    say("gpt2 and those called -base go on with a text; the others answer in a chat.")
    say("Fetch one: tuillm pull smollm2. Others of these families: tuillm pull ORG/NAME")
