"""What a person types for a model of the Hugging Face hub, and what it is called here.

Knows spellings; asks no network and reads no disk.
"""

import re
from dataclasses import dataclass

from tuillm.errors import UsageError, brief, did_you_mean
from tuillm.store.hub.catalog import CATALOG
from tuillm.urls import public_url

SHORT_NAMES = {name: known.repo for name, known in CATALOG.items()}
_SHORT = {repo: name for name, repo in SHORT_NAMES.items()}
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(rf"({_PART})/({_PART})")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True)
class Source:
    """A repository of the hub; `revision` is the branch, tag or commit asked for, '' for main."""

    repo: str
    revision: str = ""

    def __str__(self) -> str:
        """As one types it: `gpt2`, or `ORG/NAME@REVISION`."""
        short = _SHORT.get(self.repo, self.repo)
        return f"{short}@{self.revision}" if self.revision else short

    @property
    def name(self) -> str:
        """The name that its model gets in the registry when nobody names another."""
        return _SHORT.get(self.repo) or self.repo.partition("/")[2][:64]


def is_hub_name(text: str) -> bool:
    """Whether a text may mean a model of the hub: a short name, or ORG/NAME."""
    repo = text.partition("@")[0]
    return repo in SHORT_NAMES or bool(_REPO.fullmatch(repo))


def hub_source(text: str, revision: str = "") -> Source:
    """Return what `gpt2`, `ORG/NAME` or `ORG/NAME@REVISION` means.

    Raises UsageError for anything else, and for two revisions that differ.
    """
    typed, at, behind = text.partition("@")
    repo = SHORT_NAMES.get(typed, typed)
    if not _REPO.fullmatch(repo):
        hint = "tuillm pull lists the short names; any other is ORG/NAME as on huggingface.co"
        typed = public_url(text) if "://" in text else typed
        raise UsageError(f"{typed!r} is no name of the hub", did_you_mean(typed, SHORT_NAMES, hint))
    if at and revision and behind != revision:
        raise UsageError(f"two revisions were named, {behind!r} and {revision!r}", "name one")
    wanted = behind if at else revision
    if (at or revision) and not _REVISION.fullmatch(wanted):
        raise UsageError(f"{wanted!r} is no revision", "name a branch, a tag or a commit")
    return Source(repo, "" if wanted == "main" else wanted)


def hub_target(text: str) -> str:
    """Return the repository ORG/NAME that a model is pushed to; raises UsageError for all else."""
    if not _REPO.fullmatch(text):
        raise UsageError(
            f"{brief(public_url(text))} is no repository of the hub to push to",
            "ORG/NAME, where ORG is your name on huggingface.co or that of an organization",
        )
    return text
