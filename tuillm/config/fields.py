"""How a setting is declared, and how a declaration is read back by CLI, dashboard and docs.

A setting is a pydantic field with a group and one sentence. `settings_of` turns the
fields of a config into plain `Setting` records, so front ends need not know pydantic.
"""

import os
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field

from tuillm.urls import is_url, public_url

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Setting:
    """One declared setting as a front end needs it."""

    name: str
    type: type
    default: object
    optional: bool
    choices: tuple[str, ...]
    range: str
    help: str
    group: str
    several: bool = False
    unset: str = "auto"
    named: str = ""
    escapes: bool = False

    @property
    def flag(self) -> str:
        """The option of the command line: the name with dashes, unless it was given another."""
        return self.named or "--" + self.name.replace("_", "-")

    @property
    def allowed(self) -> str:
        """What the setting takes, in the words of a person."""
        kind = _KINDS.get(self.type, "") + (" or a list of texts" if self.several else "")
        return " or ".join(self.choices) or self.range or kind

    def words(self, value: object) -> str:
        """A value in the words of a person (None mostly means: decided later, 'auto')."""
        if value is None:
            return self.unset
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple | list):
            return " ".join(map(self.words, value)) or "none"
        if isinstance(value, float):
            return f"{value:.10g}"
        return repr(public_url(value) if isinstance(value, str) and is_url(value) else value)


def setting(
    default: object,
    help: str,
    *,
    group: str,
    flag: str = "",
    unset: str = "auto",
    escapes: bool = False,
    allowed: str = "",
    **limits: Any,
) -> Any:
    """Declare a setting: default, one sentence, group, and pydantic limits (ge, gt, le, lt).

    `flag` is its option where that is not the name with dashes; `unset` what None is called;
    `allowed` says in words what limits cannot; with `escapes` \\n is a line end where it is typed
    (not in TOML, which has its own). A number without an upper limit ends below 2^63, what any file
    and library can hold.
    """
    if limits.keys() & {"ge", "gt"} and not limits.keys() & {"le", "lt"}:
        limits["lt"] = 2**63
    return Field(
        default,
        description=help,
        **limits,
        json_schema_extra={
            "group": group,
            "flag": flag,
            "unset": unset,
            "escapes": escapes,
            "allowed": allowed,
        },
    )


def with_escapes(text: str) -> str:
    """Return a typed text with \\n, \\t and \\r as the characters they stand for, \\\\ as a \\."""
    return re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], text)


def settings_of(config: type[BaseModel]) -> list[Setting]:
    """Return the settings of a config class in the order of their declaration."""
    return [_read(name, info) for name, info in config.model_fields.items()]


def settings_table(config: type[BaseModel], values: Mapping[str, object] | None = None) -> str:
    """Return all settings of a config class as an aligned text table, group by group.

    `values` replace the defaults: what a preset says, for example.
    """
    values = values or {}
    rows = settings_of(config)
    width = max(len(row.name) for row in rows)
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in rows):
        lines += ["", f"{group}"]
        for row in (row for row in rows if row.group == group):
            allowed = " | ".join(row.choices) or row.allowed
            lines.append(f"  {row.name:<{width}}  {row.help}")
            value = row.words(values.get(row.name, row.default))
            lines.append(f"  {'':<{width}}  {allowed}; default {value}")
    return "\n".join(lines[1:])


def _read(name: str, info: Any) -> Setting:
    kind, optional = _without_none(info.annotation)
    several = get_origin(kind) is tuple
    if several:
        kind = get_args(kind)[0]
    choices = tuple(get_args(kind)) if get_origin(kind) is Literal else ()
    extra = info.json_schema_extra or {}
    return Setting(
        name=name,
        type=str if choices else kind,
        default=info.default,
        optional=optional,
        choices=choices,
        range=extra.get("allowed") or _range_words(info.metadata, whole=kind is int),
        help=info.description or "",
        group=extra.get("group", ""),
        several=several,
        unset=extra.get("unset", "auto"),
        named=extra.get("flag", ""),
        escapes=extra.get("escapes", False),
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0], True


def _range_words(metadata: list[Any], whole: bool) -> str:
    """Put limits such as [Ge(0), Lt(1)] into words: '0 <= value < 1'."""
    low = high = ""
    for limit in metadata:
        if getattr(limit, "ge", None) is not None:
            low = f"{_plain(limit.ge)} <= "
        if getattr(limit, "gt", None) is not None:
            low = f"{_plain(limit.gt)} < "
        if getattr(limit, "le", None) is not None:
            high = f" <= {_plain(limit.le)}"
        if getattr(limit, "lt", None) is not None:
            high = f" < {_plain(limit.lt)}"
    noun = "whole number" if whole else "number"
    return f"{low}{noun}{high}" if low or high else ""


def _plain(limit: float) -> str:
    """Write 1000000 as '1000000' and not as '1e+06'; the largest seeds as a power."""
    if isinstance(limit, int):
        return "2^63" if limit == 2**63 else str(limit)
    return f"{limit:g}"


def typed_path(value: object) -> object:
    """Return the text of a path; anything else as it is, to be refused where it is none."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def typed_paths(value: object) -> object:
    """Return the texts of paths; a single one stands for a list of one."""
    several = (value,) if isinstance(value, str | os.PathLike) else value
    if not isinstance(several, list | tuple):
        return value
    return tuple(map(typed_path, several))
