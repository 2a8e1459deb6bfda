"""What the dashboard says and does about pulls: the news of a look, starting, stopping.

Knows pulls as the store tells of them; draws nothing. The store is imported where it is used:
the first frame must not wait for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuillm.errors import TuillmError
from tuillm.units import count, size

if TYPE_CHECKING:
    from tuillm.store.hub.pull_folder import PullStatus


@dataclass(frozen=True)
class Pullable:
    """A row of what can be pulled: what is typed for it, and what is known of it, as words.

    `state` is `here`, `gated`, how much of it has come, or ''.
    """

    typed: str
    family: str = ""
    parameters: str = ""
    size: str = ""
    context: str = ""
    licence: str = ""
    state: str = ""


def news(
    before: Sequence["PullStatus"], now: Sequence["PullStatus"], models: Collection[str]
) -> list[str | TuillmError]:
    """Return what a person should hear of pulls that went on at the last look and do no more."""
    heard: list[str | TuillmError] = []
    current = {pull.name: pull for pull in now}
    for was in going(before):
        pull = current.get(was.name)
        if (pull is None and was.name in models) or (pull and pull.state == "finished"):
            heard.append(f"{was.name} is here: c talks to it")
        elif pull is None:
            continue
        elif pull.state == "failed":
            heard.append(
                TuillmError(
                    pull.error or f"the pull of {was.name} failed", pull.hint or "P tries again"
                )
            )
        elif pull.state == "lost":
            heard.append(TuillmError(f"the pull of {was.name} broke off", "P goes on"))
    return heard


def going(pulls: Sequence["PullStatus"]) -> list["PullStatus"]:
    """Return the pulls that have a process at work."""
    from tuillm.store.hub.pull_folder import PULLING

    return [pull for pull in pulls if pull.state in PULLING]


def begin(typed: str) -> str:
    """Start a pull in the background, or take up one that was left; return what to say."""
    from tuillm.store.hub.hub_names import hub_source
    from tuillm.store.hub.pull_folder import list_pulls, start_pull
    from tuillm.store.hub.pull_model import pulled_from, refuse_other_owner

    source = hub_source(typed.strip())
    # one that was begun under another name goes on under that
    left = (pull.status() for pull in list_pulls())
    same = next((status for status in left if status.source == source), None)
    name, replace = (same.name, same.replace) if same else (source.name, False)
    if not replace and pulled_from(source, name):
        return f"{name} is here already"
    refuse_other_owner(source, name, replace=replace)
    start_pull(source, name, replace=replace)
    return f"pulling {name}; it goes on without the dashboard"


def pullable(pulls: Sequence["PullStatus"], models: Collection[str]) -> list[Pullable]:
    """Return what can be taken up, or pulled by a short name, those of the registry marked."""
    from tuillm.store.hub.catalog import CATALOG

    begun = {str(pull.source): f"{pull.fraction:.0%}" for pull in pulls if pull.repo}
    others = [
        Pullable(typed, state=f"{share} has come")
        for typed, share in begun.items()
        if typed not in CATALOG
    ]
    return others + [
        Pullable(
            row.name,
            row.family,
            count(row.parameters),
            size(row.download),
            f"{row.context:,}",
            row.licence,
            begun.get(row.name) or ("here" if row.name in models else "gated" * row.gated),
        )
        for row in CATALOG.values()
    ]


def check(typed: str) -> None:
    """Raise TuillmError for what cannot be a name of the hub."""
    from tuillm.store.hub.hub_names import hub_source

    hub_source(typed.strip())
