"""`tuillm push`: uploads a model to the Hugging Face hub, after it has been said what goes where.

Knows how a push looks on a terminal; what is sent, and how, is the store's business.
"""

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from tuillm.cli.output import complain, confirm, print_table, say, yes_option
from tuillm.cli.progress_views import progress_view
from tuillm.errors import UsageError
from tuillm.store.hub.hub_names import hub_target
from tuillm.store.model_card import README
from tuillm.units import several, size

if TYPE_CHECKING:
    from tuillm.store.hub.push_model import PushPlan


@click.command("push")
@click.argument("name")
@click.argument("target", metavar="ORG/NAME")
@click.option("--public", is_flag=True, help="For everybody to see; a new repository is private.")
@yes_option
def push_command(name: str, target: str, public: bool, yes: bool) -> None:
    """Upload the model NAME to the Hugging Face hub, as ORG/NAME.

    What goes there is a folder that transformers opens, with a model card; the text it learned
    from stays here. It is told and asked first, and appears as one commit at the end. Files that
    an interrupted push has sent whole are not sent again. The token is HF_TOKEN or that of `hf auth
    login`.
    """
    repo = hub_target(target)
    if not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("a push asks first, and nobody can answer here", "--yes answers")
    from tuillm.store.hub.push_model import plan_push
    from tuillm.store.run_checkpoints import resolve_model

    plan = plan_push(resolve_model(name), repo, public=public)
    _tell(plan)
    if not yes and not confirm("Push it now?"):
        say("nothing was sent")
        raise click.Abort
    _push(plan, name)


def _tell(plan: "PushPlan") -> None:
    """Say where a model goes, what of it, and what it was made from."""
    seen = "public" if plan.public else "private"
    kind = f"the {seen} repository that is there" if plan.commit else f"a new {seen} repository"
    say(f"{plan.model.name} goes to {plan.url}, {kind}")
    rows = [
        (file.name, size(file.size), "replaces the one there" * (file.name in plan.sums))
        for file in plan.files
    ]
    rows += [(name, "", "of another model there, is deleted") for name in plan.stale]
    print_table(("file", "size", ""), rows, right="size")
    if plan.base:
        licence = plan.base.licence or "not known here, see its page"
        say(f"made from {plan.base.repo}, whose licence holds for it: {licence}")
    elif parent := plan.model.card.parent:
        say(f"made from {parent} of this machine, whose own licence nothing tells any more")
    if (plan.model.path / README).exists():
        say("README.md is the model's own, as it is in its folder")
    elif plan.model.card.corpus:
        say(f"README.md names the text it learned from: {plan.model.card.corpus}")


def _push(plan: "PushPlan", name: str) -> None:
    from tuillm.store.hub.push_model import push

    again = f"tuillm push {name} {plan.repo}" + " --public" * plan.public
    view = progress_view(plan.model.name, "reading its files")
    view.tell([])
    try:
        with closing(view):
            files, sent = push(plan, view.show)
    except (KeyboardInterrupt, SystemExit) as end:
        complain(f"stopped; look at {plan.url} for what is there. Go on with: {again}")
        if isinstance(end, SystemExit):  # SIGTERM
            raise
        raise click.Abort from None
    if not files and not plan.stale:
        say(f"{plan.url} has all of it already")
        return
    say(f"pushed {several(files, 'file')}, {size(sent)}: {plan.url}")
    say(f"Anywhere: tuillm pull {plan.repo}")
