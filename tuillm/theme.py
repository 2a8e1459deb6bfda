"""Themes: one TOML file colours the chat, the live view and the dashboard.

    name = "lamplight"
    dark = true
    [colors]
    background = "#1c1917"  ...

Knows colours by role; turns them into the values that Textual, prompt-toolkit and rich take,
and imports none of them.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tuillm.errors import TuillmError, did_you_mean
from tuillm.store.paths import themes_dirs

ROLES = ("background", "surface", "foreground", "muted", "primary", "secondary", "accent",
         "success", "warning", "error")
DEFAULT = "lamplight"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Theme:
    """Colours as '#rrggbb' by role; `dark` says what the background is."""

    name: str
    dark: bool
    colors: dict[str, str]

    def __getitem__(self, role: str) -> str:
        return self.colors[role]

    def prompt_toolkit(self) -> dict[str, str]:
        """Style rules for the chat, by class name."""
        return {
            "prompt": f"{self['primary']} bold",
            "reply": self["foreground"],
            "note": f"{self['muted']} italic",
            "warning": self["warning"],
            "error": self["error"],
            "bottom-toolbar": f"noreverse {self['muted']} bg:{self['surface']}",
            "bottom-toolbar.name": f"{self['accent']} bold",
            "bottom-toolbar.value": self["foreground"],
        }

    def textual(self) -> dict[str, object]:
        """Keyword arguments of `textual.theme.Theme`."""
        plain = {role: color for role, color in self.colors.items() if role != "muted"}
        extra = {"name": self.name, "dark": self.dark, "variables": {"muted": self["muted"]}}
        return extra | plain


def load_theme(name: str = DEFAULT) -> Theme:
    """Return a theme by name; the person's own win over those shipped.

    Raises TuillmError for an unknown name or a file that is not a theme.
    """
    paths = {path.stem: path for folder in themes_dirs() for path in sorted(folder.glob("*.toml"))}
    if name not in paths:
        raise TuillmError(f"no theme named {name!r}", did_you_mean(name, paths, ", ".join(paths)))
    return read_theme(paths[name])


def read_theme(path: Path) -> Theme:
    """Return the theme of a file; raises TuillmError naming what is wrong with it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TuillmError(f"theme {path} cannot be read: {error}") from None
    colors = content.get("colors", {})
    for role in ROLES:
        color = colors.get(role)
        if not isinstance(color, str) or not _COLOR.fullmatch(color):
            raise TuillmError(f"theme {path}: {role} is {color!r}", "a colour is like '#e0a458'")
    picked = {role: colors[role] for role in ROLES}
    return Theme(path.stem, bool(content.get("dark", True)), picked)
