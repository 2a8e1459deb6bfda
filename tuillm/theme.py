"""Themes: one TOML file colours the chat, the live view and the dashboard.

    about = "the warm light of a reading lamp"
    dark = true
    [colors]
    background = "#1b1816"  ...

The file's name is the theme's. Knows colours by role; turns them into the values that Textual,
prompt-toolkit and rich take, and imports none of them. Keeps the name of the chosen one.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuillm.errors import TuillmError, did_you_mean, nearest, printable
from tuillm.formats.user_files import parse_toml, read_typed, shown, words_of
from tuillm.store.files import write_text
from tuillm.store.paths import config_dir, themes_dirs

ROLES = (
    "background",
    "surface",
    "foreground",
    "muted",
    "primary",
    "secondary",
    "accent",
    "success",
    "warning",
    "error",
)
DEFAULT = "lamplight"
# the sixteen colours as rich knows them, in the order of ROLES
_DARK_SIXTEEN = "#000000 #000000 #ffffff #aaaaaa #55ffff #00aaaa #ffff55 #55ff55 #aa5500 #ff5555"
_LIGHT_SIXTEEN = "#ffffff #ffffff #000000 #555555 #0000aa #555555 #aa00aa #00aa00 #aa5500 #aa0000"
# Textual makes a CSS class of the name, and takes a comma for the end of it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_CHOICE = re.compile(
    r"""^[ \t]*(?:theme|"theme"|'theme')[ \t]*=[ \t]*
    ("(?:[^"\\\r\n]|\\.)*" | '[^'\r\n]*' | [^#\r\n]*?)(?=[ \t]*(?:\#[^\r\n]*)?\r?$)""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True)
class Theme:
    """Colours as '#rrggbb' by role; `dark` says what the background is, `about` what it is for."""

    name: str
    dark: bool
    colors: dict[str, str]
    about: str = ""

    def __getitem__(self, role: str) -> str:
        return self.colors[role]

    def mix(self, role: str, other: str, share: float) -> str:
        """Return the colour that lies `share` of the way from one role to another."""
        pairs = zip(*(bytes.fromhex(self[name][1:]) for name in (role, other)), strict=True)
        return "#" + bytes(round(a + (b - a) * share) for a, b in pairs).hex()

    def in_sixteen_colors(self) -> "Theme":
        """Return a theme for terminals with 16 colours, dark or light as this one is.

        Each role is one of the sixteen: the nearest to its own colour would make several roles one,
        and an accent look like an error.
        """
        roles = _DARK_SIXTEEN if self.dark else _LIGHT_SIXTEEN
        return replace(self, colors=dict(zip(ROLES, roles.split(), strict=True)))

    def prompt_toolkit(self) -> dict[str, str]:
        """Style rules for the chat, by class name."""
        quiet = f"noreverse {self['muted']} bg:{self['surface']}"
        plain = f"noreverse {self['foreground']} bg:{self['surface']}"
        chosen = f"noreverse {self['background']} bg:{self['primary']}"
        return {
            "prompt": f"{self['primary']} bold",
            # the chat stands on the terminal's own ground, dark or light, which nobody tells us
            "reply": "",
            "note": f"{self['muted']} italic",
            "success": self["success"],
            "warning": self["warning"],
            "error": self["error"],
            "auto-suggestion": self["muted"],
            "bottom-toolbar": quiet,
            "bottom-toolbar.name": f"{self['accent']} bold",
            "bottom-toolbar.value": self["foreground"],
            "completion-menu": plain,
            "completion-menu.completion.current": chosen,
            "completion-menu.meta.completion": quiet,
            "completion-menu.meta.completion.current": chosen,
            "completion-menu.multi-column-meta": quiet,
            "scrollbar.background": f"bg:{self['surface']}",
            "scrollbar.button": f"bg:{self['muted']}",
        }

    def textual(self) -> dict[str, Any]:
        """Keyword arguments of `textual.theme.Theme`; its variables hold `$muted` too."""
        plain = {role: color for role, color in self.colors.items() if role != "muted"}
        return plain | {
            "name": self.name,
            "dark": self.dark,
            "panel": self.mix("surface", "primary", 0.09),
            "variables": self._text() | self._cursors() | self._edges(),
        }

    def _text(self) -> dict[str, str]:
        """Textual's variables for what is read."""
        faint = self.mix("muted", "background", 0.2)
        return {
            "muted": self["muted"],
            "text-muted": self["muted"],
            "foreground-muted": self["muted"],
            "text-disabled": faint,
            "foreground-disabled": faint,
            "link-color": self["secondary"],
            "link-color-hover": self["background"],
            "link-background-hover": self["secondary"],
            "button-color-foreground": self["background"],
            "footer-background": self["surface"],
            "footer-foreground": self["foreground"],
            "footer-key-foreground": self["accent"],
            "footer-description-foreground": self["muted"],
        }

    def _cursors(self) -> dict[str, str]:
        """Textual's variables for where a person is: cursors, selections, the row under a mouse."""
        return {
            "block-cursor-background": self["primary"],
            "block-cursor-foreground": self["background"],
            "block-cursor-blurred-background": self.mix("surface", "primary", 0.22),
            "block-cursor-blurred-foreground": self["foreground"],
            "block-hover-background": self.mix("surface", "foreground", 0.1),
            "input-cursor-background": self["primary"],
            "input-cursor-foreground": self["background"],
            "input-selection-background": self.mix("surface", "primary", 0.3),
            "input-selection-foreground": self["foreground"],
            "screen-selection-background": self.mix("surface", "primary", 0.3),
            "screen-selection-foreground": self["foreground"],
        }

    def _edges(self) -> dict[str, str]:
        """Textual's variables for borders and scroll bars."""
        return {
            "border": self["primary"],
            "border-blurred": self.mix("background", "muted", 0.4),
            "surface-active": self.mix("surface", "foreground", 0.06),
            "panel-lighten-1": self.mix("surface", "foreground", 0.06),  # toasts stand on it
            "scrollbar": self.mix("background", "muted", 0.45),
            "scrollbar-hover": self["muted"],
            "scrollbar-active": self["primary"],
            "scrollbar-background": self["surface"],
            "scrollbar-background-hover": self["surface"],
            "scrollbar-background-active": self["surface"],
            "scrollbar-corner-color": self["surface"],
        }


def load_theme(name: str | None = None) -> Theme:
    """Return a theme by name; the person's own win over those shipped.

    Raises TuillmError for an unknown name or a file that is not a theme. Without a name it is the
    chosen one, or the next best if that is missing or broken.
    """
    if name is None:
        return _load_chosen()
    for path in _files_of(name):
        return read_theme(path)
    names = [theme.name for theme in list_themes()[0]]
    raise TuillmError(f"no theme named {name!r}", did_you_mean(name, names, ", ".join(names)))


def theme_for(color_system: str | None) -> Theme:
    """Return the chosen theme for a terminal whose colours rich calls `color_system`."""
    theme = load_theme()
    return theme.in_sixteen_colors() if color_system == "standard" else theme


def list_themes() -> tuple[list[Theme], list[TuillmError]]:
    """Return all good themes, the dark ones first, and what is wrong with each of the others."""
    themes: dict[str, Theme] = {}
    errors = _settings_problems()
    for folder in themes_dirs():
        try:
            paths = sorted(folder.glob("*.toml"))
        except OSError as error:
            errors.append(TuillmError(f"cannot read {folder}: {error.strerror}"))
            continue
        for path in paths:
            try:
                themes[path.stem] = read_theme(path)
            except TuillmError as broken:
                errors.append(broken)
    return sorted(themes.values(), key=lambda theme: (not theme.dark, theme.name)), errors


def read_theme(path: Path) -> Theme:
    """Return the theme of a file; raises TuillmError naming what is wrong with it."""
    if not _NAME.fullmatch(path.stem):
        raise TuillmError(f"theme {path}: no name for a theme", "letters, digits, - and _ make one")
    content = _parse(_read(path, "theme"), path, "theme")
    given = content.get("colors")
    if not isinstance(given, dict):
        raise TuillmError(f"theme {path} has no table [colors]")
    colors = {role: _color(given, role, path) for role in ROLES}
    dark = content.get("dark", _light(colors["background"]) < _light(colors["foreground"]))
    if not isinstance(dark, bool):
        raise TuillmError(f"theme {path}: dark is {shown(dark)}", "it is true or false")
    about = content.get("about", "")
    if not isinstance(about, str):
        raise TuillmError(f"theme {path}: about is {shown(about)}", "it is a sentence in quotes")
    return Theme(path.stem, dark, colors, " ".join(printable(about).split()))


def chosen_theme() -> str:
    """Return the name of the theme a person chose, whether or not there is such a theme."""
    path = _settings_file()
    try:
        name = _parse(_read(path, "settings"), path, "settings").get("theme")
    except TuillmError:
        return DEFAULT
    return name if isinstance(name, str) and _NAME.fullmatch(name) else DEFAULT


def _settings_problems() -> list[TuillmError]:
    """What is wrong with the settings, which are passed over then."""
    path = _settings_file()
    try:
        name = _parse(_read(path, "settings"), path, "settings").get("theme", DEFAULT)
    except TuillmError as error:
        return [error] if os.path.lexists(path) else []
    if isinstance(name, str) and _NAME.fullmatch(name):
        return []
    return [
        TuillmError(
            f"settings {path}: theme is {shown(name)}",
            f'it is the name of a theme, as in theme = "{DEFAULT}"',
        )
    ]


def choose_theme(name: str) -> None:
    """Keep a theme as the chosen one; every other line of the settings stays as it is.

    Raises TuillmError for a name that cannot be loaded and for settings that cannot be kept.
    """
    load_theme(name)
    path = _settings_file()
    text = _read(path, "settings") if os.path.lexists(path) else ""
    content = _parse(text, path, "settings")
    if content.get("theme") != name:
        # the file may be a link into a collection of settings: what it points to is replaced
        write_text(path.resolve(), _with_choice(text, content, name, path))


def _load_chosen() -> Theme:
    """The chosen theme, the shipped one of that name, or the default; the first that is good."""
    for path in [*_files_of(chosen_theme()), *_files_of(DEFAULT)]:
        try:
            return read_theme(path)
        except TuillmError:
            continue
    return read_theme(themes_dirs()[0] / f"{DEFAULT}.toml")


def _files_of(name: str) -> list[Path]:
    """Files that may hold a theme, the person's own first."""
    if not _NAME.fullmatch(name):  # a path perhaps
        return []
    paths = [folder / f"{name}.toml" for folder in reversed(themes_dirs())]
    return [path for path in paths if os.path.isfile(path)]


def _color(given: dict[str, object], role: str, path: Path) -> str:
    color = given.get(role)
    if isinstance(color, str) and _COLOR.fullmatch(color):
        return color.lower()
    if role in given:
        raise TuillmError(f"theme {path}: {role} is {shown(color)}", "a colour is like '#e0a458'")
    alike = nearest(role, set(given) - set(ROLES))
    raise TuillmError(f"theme {path} has no colour {role}", f"is {alike!r} it?" if alike else "")


def _light(color: str) -> float:
    red, green, blue = bytes.fromhex(color[1:])
    return 0.3 * red + 0.6 * green + 0.1 * blue


def _settings_file() -> Path:
    return config_dir() / "settings.toml"


def _with_choice(text: str, content: dict[str, object], name: str, path: Path) -> str:
    """Return settings with another theme and nothing else changed."""
    for draft in _drafts(text, content, name):
        try:
            if parse_toml(draft) == content | {"theme": name}:
                return draft
        except ValueError:  # what looked like the line was within a longer text
            continue
    raise TuillmError(f"cannot set the theme in {path}", f'write theme = "{name}" there')


def _drafts(text: str, content: dict[str, object], name: str) -> Iterator[str]:
    line = f'"{name}"'
    if "theme" not in content:
        yield f"theme = {line}\n{text}"  # on top, where no table has begun
        return
    for match in _CHOICE.finditer(text):
        yield text[: match.start(1)] + line + text[match.end(1) :]


def _read(path: Path, what: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would keep us waiting
            raise TuillmError(f"{what} {path} is not a file")
        return read_typed(path)
    except (OSError, ValueError) as error:
        raise TuillmError(f"{what} {path} cannot be read: {words_of(error)}") from None


def _parse(text: str, path: Path, what: str) -> dict[str, object]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise TuillmError(f"{what} {path} cannot be read: {error}") from None
