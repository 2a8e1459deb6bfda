"""What a person types for a model of the Hugging Face hub, and what it is called here.

Knows spellings; asks no network and reads no disk.
"""

import re
from dataclasses import dataclass

from tuillm.errors import UsageError, did_you_mean
from tuillm.urls import public_url

SHORT_NAMES = {
    name: f"openai-community/{name}" for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
}
# what each takes: parameters, bytes of the download, licence
SHORT_NAME_SIZES = {
    "gpt2": (124_439_808, 548_105_171, "MIT"),
    "gpt2-medium": (354_823_168, 1_519_984_962, "MIT"),
    "gpt2-large": (774_030_080, 3_247_159_078, "MIT"),
    "gpt2-xl": (1_557_611_200, 6_431_829_964, "MIT"),
}
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
        short = next((name for name, repo in SHORT_NAMES.items() if repo == self.repo), self.repo)
        return f"{short}@{self.revision}" if self.revision else short

    @property
    def name(self) -> str:
        """The name that its model gets in the registry when nobody names another."""
        return self.repo.partition("/")[2][:64]


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
        hint = f"{', '.join(SHORT_NAMES)}, or ORG/NAME as on huggingface.co"
        typed = public_url(text) if "://" in text else typed
        raise UsageError(f"{typed!r} is no name of the hub", did_you_mean(typed, SHORT_NAMES, hint))
    if at and revision and behind != revision:
        raise UsageError(f"two revisions were named, {behind!r} and {revision!r}", "name one")
    wanted = behind if at else revision
    if (at or revision) and not _REVISION.fullmatch(wanted):
        raise UsageError(f"{wanted!r} is no revision", "name a branch, a tag or a commit")
    return Source(repo, "" if wanted == "main" else wanted)
