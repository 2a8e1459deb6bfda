"""Patterns for paths, as shells have them: `*.txt`, `**/ch*.md`.

Knows text only; looks at no disk.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from tuillm.errors import UsageError, brief


def path_matcher(pattern: str) -> Callable[[str], bool]:
    """Return whether a path inside a folder or archive, with `/`, is one that is meant.

    A pattern without `/` is for the name alone, in whatever folder; in any other `**` stands for
    folders of any depth, none included. `*`, `?` and `[...]` do not go over a `/`. '' is for all.
    Raises UsageError for a pattern that nothing inside a folder can match.
    """
    if not pattern:
        return lambda path: True
    parts = pattern.removeprefix("./").split("/")
    if parts[0] in ("", "~") or ".." in parts:
        raise UsageError(
            f"--glob {brief(pattern)} is for paths inside a folder or an archive",
            "for example --glob '*.txt' or --glob '**/ch*.md'",
        )
    if len(parts) == 1 and parts[0] != "**":
        return lambda path: fnmatchcase(path.rpartition("/")[2], parts[0])
    wanted = [part for part in parts if part != "."]
    return lambda path: _matches(path.split("/"), wanted)


def _matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether the parts of a path are those wanted; time in proportion to both lengths."""
    # which of the beginnings of the path are what has been wanted so far
    reached = {0}
    for want in wanted:
        if want == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], want)}
    return len(parts) in reached
