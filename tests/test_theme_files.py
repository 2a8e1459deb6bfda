"""Themes: the shipped ones are readable for all eyes, a person's own win, a broken one harms none.

Contrast is WCAG 2.2's. Colour blindness is simulated by Machado, Oliveira and Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency" (IEEE TVCG 15(6), 2009),
severity 1.0, on linear RGB; distances are CIE 1976 in L*a*b* (D65), where 2.3 is just noticeable.
"""

import asyncio
import itertools
import math
import os

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style as RichStyle

from tuillm import theme as themes
from tuillm.errors import TuillmError
from tuillm.store.paths import config_dir, themes_dirs
from tuillm.theme import DEFAULT, ROLES, choose_theme, chosen_theme, list_themes, load_theme

SHIPPED = sorted(path.stem for path in themes_dirs()[0].glob("*.toml"))
LIGHT = {"foxed", "northlight", "orchard", "broadsheet", "pennant"}
HIGH_CONTRAST = {"lighthouse", "broadsheet"}
COLOUR_BLIND = {"semaphore", "pennant"}
COLOURED = ("primary", "secondary", "accent", "success", "warning", "error")
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)


def linear(color):
    """The three parts of '#rrggbb' as amounts of light, 0 to 1."""
    parts = (byte / 255 for byte in bytes.fromhex(color[1:]))
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def contrast(one, other):
    """WCAG's contrast ratio, 1 to 21."""
    dark, light = sorted(times(XYZ, linear(color))[1] for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(color, eye):
    """L*a*b* of a colour as an eye sees it."""
    seen = [min(max(part, 0.0), 1.0) for part in times(EYES[eye], linear(color))]
    white = times(XYZ, (1, 1, 1))
    x, y, z = (part / whole for part, whole in zip(times(XYZ, seen), white, strict=True))
    x, y, z = (v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one, other, eye):
    return math.dist(lab(one, eye), lab(other, eye))


@pytest.fixture(params=SHIPPED)
def shipped(request):
    """Each of the shipped themes."""
    return load_theme(request.param)


def own(name, **changes):
    """Write a theme of the person's own: lamplight with other colours; None leaves one out."""
    colors = load_theme(DEFAULT).colors | changes
    lines = (f'{role} = "{color}"\n' for role, color in colors.items() if color)
    return own_file(name, "[colors]\n" + "".join(lines))


def own_file(name, text):
    path = config_dir() / "themes" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def settings(text=None):
    """Write the settings, or read them."""
    path = config_dir() / "settings.toml"
    if text is None:
        return path.read_bytes().decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- the shipped themes --------------------------------------------------------------------


def test_every_shipped_theme_can_be_picked():
    """There are eight and more, light ones among them, and none of them is broken."""
    found, errors = list_themes()
    assert not errors
    assert sorted(theme.name for theme in found) == SHIPPED
    assert len(SHIPPED) >= 8
    assert {theme.name for theme in found if not theme.dark} == LIGHT
    assert len({tuple(theme.colors.values()) for theme in found}) == len(found)


def test_a_shipped_theme_says_what_it_is_for(shipped):
    """The file opens with one line on its colours; the picker's sentence fits its line."""
    first, second, *_ = (themes_dirs()[0] / f"{shipped.name}.toml").read_text().splitlines()
    assert first.startswith("# ") and not second.startswith("#")
    assert 10 < len(shipped.about) <= 60


def test_text_stands_out_from_its_ground(shipped):
    """Text has 4.5:1 on every ground of ours, and 7:1 in the high-contrast themes."""
    least = 7 if shipped.name in HIGH_CONTRAST else 4.5
    for ground in ("background", "surface"):
        for role in ("foreground", "muted", *COLOURED):
            assert contrast(shipped[role], shipped[ground]) >= least, (role, ground)


def test_text_stands_out_in_the_widgets(shipped):
    """Cursors, selections, buttons, toasts and placeholders can be read."""
    values = shipped.textual()
    colors = shipped.colors | values["variables"] | {"panel": values["panel"]}
    least = 7 if shipped.name in HIGH_CONTRAST else 4.5
    pairs = [
        ("block-cursor-foreground", "block-cursor-background"),
        ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
        ("input-cursor-foreground", "input-cursor-background"),
        ("input-selection-foreground", "input-selection-background"),
        ("footer-key-foreground", "footer-background"),
        ("footer-description-foreground", "footer-background"),
        ("foreground", "panel"),
        ("foreground", "panel-lighten-1"),
        ("foreground", "block-hover-background"),
        *(("button-color-foreground", role) for role in COLOURED),
    ]
    for text, ground in pairs:
        assert contrast(colors[text], colors[ground]) >= least, (text, ground)
    assert contrast(colors["text-disabled"], colors["surface"]) >= 3


def test_a_light_theme_is_light(shipped):
    """The grounds are what `dark` says they are."""
    lightness = [lab(shipped[ground], "all cones")[0] for ground in ("background", "surface")]
    assert max(lightness) < 20 if shipped.dark else min(lightness) > 88


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", sorted(COLOUR_BLIND))
def test_colour_blind_eyes_tell_the_roles_apart(name, eye):
    """In the colour-blind-safe themes any two roles differ clearly, whichever cones are missing."""
    theme = load_theme(name)
    for one, other in itertools.combinations(COLOURED, 2):
        assert distance(theme[one], theme[other], eye) >= 20, (one, other)


@pytest.mark.parametrize("eye", EYES)
def test_no_theme_leaves_an_eye_out(shipped, eye):
    """Good and bad, and the two curves of the chart, differ in every theme for every eye."""
    assert distance(shipped["success"], shipped["error"], eye) >= 16
    assert distance(shipped["secondary"], shipped["accent"], eye) >= 16


@pytest.mark.parametrize("system", [ColorSystem.STANDARD, ColorSystem.EIGHT_BIT])
def test_text_can_be_read_with_few_colours(shipped, system):
    """On a terminal of 16 or 256 colours all text still stands out from its ground."""

    def few(color):
        return Color.parse(color).downgrade(system).get_truecolor().hex

    for ground in ("background", "surface"):
        for role in ("foreground", "muted", *COLOURED):
            assert contrast(few(shipped[role]), few(shipped[ground])) >= 3, (role, ground)


# --- the three libraries -------------------------------------------------------------------


def test_textual_takes_every_theme():
    """Each theme can be put on with the standard widgets mounted, and colours the screen."""
    from textual.app import App
    from textual.theme import Theme
    from textual.widgets import DataTable, Footer, Input

    class Shelf(App):
        CSS = "Input { color: $muted; border: tall $border-blurred; }"
        BINDINGS = [("q", "quit", "Quit")]

        def get_theme_variable_defaults(self):
            return {"muted": "#808080"}

        def compose(self):
            yield DataTable()
            yield Input(placeholder="a prompt")
            yield Footer()

    async def wear_all():
        app = Shelf()
        async with app.run_test() as pilot:
            for theme in list_themes()[0]:
                app.register_theme(Theme(**theme.textual()))
                app.theme = theme.name
                await pilot.pause()
                assert app.screen.styles.background.hex.lower() == theme["background"]
                assert app.query_one(Input).styles.color.hex.lower() == theme["muted"]

    asyncio.run(wear_all())


def test_textual_knows_the_variables(shipped):
    """Every variable but $muted is one of Textual's own, and all hold plain colours."""
    from textual.color import Color as TextualColor
    from textual.theme import BUILTIN_THEMES

    known = BUILTIN_THEMES["textual-dark"].to_color_system().generate()
    for name, value in shipped.textual()["variables"].items():
        assert name in known or name == "muted"
        assert TextualColor.parse(value).a == 1


def test_prompt_toolkit_takes_every_theme(shipped):
    """The chat's rules are a style, and the toolbar has the theme's ground."""
    from prompt_toolkit.styles import Style

    style = Style.from_dict(shipped.prompt_toolkit())
    toolbar = style.get_attrs_for_style_str("class:bottom-toolbar class:bottom-toolbar.value")
    assert toolbar.bgcolor == shipped["surface"].lstrip("#")
    assert toolbar.color == shipped["foreground"].lstrip("#")
    assert style.get_attrs_for_style_str("class:reply").color == ""


def test_rich_takes_every_theme(shipped):
    """Each colour is a style of rich, also as a ground."""
    for role in ROLES:
        style = RichStyle.parse(f"bold {shipped[role]} on {shipped['background']}")
        assert style.color is not None and style.color.name == shipped[role]


# --- a person's own themes -----------------------------------------------------------------


def test_a_persons_own_theme_wins():
    """A file of one's own with a shipped name takes its place, once."""
    own("foxed", background="#010203")
    assert load_theme("foxed")["background"] == "#010203"
    found, errors = list_themes()
    assert not errors
    assert [theme["background"] for theme in found if theme.name == "foxed"] == ["#010203"]


def test_a_theme_may_be_short():
    """Without `dark` and `about` the colours say whether it is dark; capitals do not matter."""
    own("ink", background="#FAFAFA", foreground="#101010")
    theme = load_theme("ink")
    assert (theme.dark, theme.about, theme["background"]) == (False, "", "#fafafa")


def test_what_a_theme_says_of_itself_stays_on_its_line():
    """A sentence with control characters or line breaks cannot disturb the picker."""
    path = own("loud")
    path.write_text('about = "red \\u001b[31m\\n and\\r\\nloud"\n' + path.read_text())
    assert load_theme("loud").about == "red [31m and loud"


BROKEN = {
    "color": (lambda name: own(name, accent="tomato"), "accent is 'tomato'"),
    "short": (lambda name: own(name, accent="#fff"), "accent is '#fff'"),
    "ansi": (lambda name: own(name, error="ansi_red"), "error is 'ansi_red'"),
    "missing": (lambda name: own(name, muted=None), "has no colour muted"),
    "typo": (lambda name: own(name, foreground=None, forground="#ffffff"), "is 'forground' it?"),
    "number": (lambda name: own_file(name, "[colors]\nbackground = 3"), "background is 3"),
    "toml": (lambda name: own_file(name, "[colors"), "cannot be read"),
    "deep": (lambda name: own_file(name, "a = " + "[" * 5000), "cannot be read"),
    "latin": (lambda name: own_file(name, b'about = "caf\xe9"'), "not UTF-8"),
    "empty": (lambda name: own_file(name, ""), "no table [colors]"),
    "table": (lambda name: own_file(name, 'colors = "red"'), "no table [colors]"),
    "dark": (lambda name: own_file(name, 'dark = "no"\n' + own(name).read_text()), "dark is 'no'"),
    "about": (lambda name: own_file(name, "about = 3\n" + own(name).read_text()), "about is 3"),
    "two words": (own, "no name for a theme"),
    "a,b": (own, "no name for a theme"),
    "a.b": (own, "no name for a theme"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_theme_is_named_once_and_skipped(name):
    """Whatever is wrong with a file, one error names it and the other themes are there."""
    make, words = BROKEN[name]
    make(name)
    found, errors = list_themes()
    assert sorted(theme.name for theme in found) == SHIPPED
    [error] = errors
    assert f"{name}.toml" in str(error) and words in str(error)
    assert "\n" not in str(error)


def test_what_is_no_file_is_no_theme():
    """A folder, a pipe and a dangling link called x.toml are named, and nobody waits for them."""
    folder = config_dir() / "themes"
    (folder / "folder.toml").mkdir(parents=True)
    os.mkfifo(folder / "pipe.toml")
    (folder / "link.toml").symlink_to(folder / "nowhere")
    found, errors = list_themes()
    assert sorted(theme.name for theme in found) == SHIPPED
    assert [
        name
        for error in errors
        for name in ("folder", "link", "pipe")
        if f"{name}.toml" in str(error)
    ] == ["folder", "link", "pipe"]


def test_a_broken_file_hides_no_shipped_theme():
    """One's own broken `foxed` is named; the shipped one can still be picked."""
    own("foxed", accent="red")
    found, errors = list_themes()
    assert "foxed" in {theme.name for theme in found} and len(errors) == 1


@pytest.mark.parametrize("name", ["lamplihgt", "../lamplight", "", "no/such"])
def test_an_unknown_theme_is_an_error_that_helps(name):
    """A name that is none is told with the nearest one or all of them; no path gets through."""
    with pytest.raises(TuillmError, match="lamplight"):
        load_theme(name)


# --- the chosen theme ----------------------------------------------------------------------


def test_the_choice_is_kept():
    """What was chosen is what comes without a name; before that it is lamplight."""
    assert chosen_theme() == load_theme().name == DEFAULT
    choose_theme("orchard")
    assert chosen_theme() == load_theme().name == "orchard"
    assert settings() == 'theme = "orchard"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\nkeys = 1\n", 'theme = "foxed"\n# mine\nkeys = 1\n'),
        (
            "a = 1\ntheme = 'x'  # why\n[t]\ntheme = 'y'\n",
            "a = 1\ntheme = \"foxed\"  # why\n[t]\ntheme = 'y'\n",
        ),
        ('[t]\ntheme = "y"\n', 'theme = "foxed"\n[t]\ntheme = "y"\n'),
        ('"theme"="x"\r\nb = 2\r\n', '"theme"="foxed"\r\nb = 2\r\n'),
        ("theme = 3", 'theme = "foxed"'),
        (
            't = """\ntheme = "x"\n"""\ntheme = "x"\n',
            't = """\ntheme = "x"\n"""\ntheme = "foxed"\n',
        ),
    ],
)
def test_the_choice_changes_one_line(before, after):
    """Other keys, comments and line ends of the settings stay as they were."""
    settings(before)
    choose_theme("foxed")
    assert settings() == after
    assert chosen_theme() == "foxed"


@pytest.mark.parametrize(
    "text", [b"theme = ", b"theme = 'caf\xe9'", b"theme = ['a']\n[b", b"[theme]\na = 1\n"]
)
def test_settings_that_cannot_be_understood_are_left_alone(text):
    """Unreadable settings mean the default theme; choosing says so and overwrites nothing."""
    path = settings(text)
    assert load_theme().name == DEFAULT
    with pytest.raises(TuillmError, match="settings.toml"):
        choose_theme("foxed")
    assert path.read_bytes() == text


def test_settings_that_are_no_file_do_no_harm():
    """A folder in the place of the settings means the default theme, and choosing says so."""
    (config_dir() / "settings.toml").mkdir(parents=True)
    assert load_theme().name == DEFAULT
    with pytest.raises(TuillmError, match="not a file"):
        choose_theme("foxed")


def test_settings_that_are_a_link_stay_one():
    """Settings kept elsewhere are changed there."""
    elsewhere = config_dir().parent / "dotfiles.toml"
    config_dir().mkdir(parents=True)
    elsewhere.write_text("a = 1\n")
    (config_dir() / "settings.toml").symlink_to(elsewhere)
    choose_theme("foxed")
    assert elsewhere.read_text() == 'theme = "foxed"\na = 1\n'
    assert (config_dir() / "settings.toml").is_symlink()


@pytest.mark.parametrize("choice", ['"gone"', '"../x"', "3", '""'])
def test_a_choice_that_is_gone_is_no_fuss(choice):
    """A chosen theme that is not there, or is no name, gives lamplight."""
    settings(f"theme = {choice}\n")
    assert load_theme().name == DEFAULT


def test_a_broken_choice_gives_the_next_best():
    """One's own broken theme gives way to the shipped one of its name, else to lamplight."""
    own("foxed", accent="red")
    own("mine", accent="red")
    own(DEFAULT, accent="red")
    for choice, loaded in (("foxed", "foxed"), ("mine", DEFAULT), (DEFAULT, DEFAULT)):
        settings(f'theme = "{choice}"\n')
        assert load_theme().name == loaded


@pytest.mark.parametrize("name", ["nothing", "broken"])
def test_only_a_good_theme_can_be_chosen(name):
    """An unknown or broken theme is refused, and the choice stays what it was."""
    own("broken", accent="red")
    choose_theme("foxed")
    with pytest.raises(TuillmError):
        choose_theme(name)
    assert chosen_theme() == "foxed"


def test_a_choice_that_cannot_be_kept_is_told(monkeypatch):
    """A disk that refuses is an error of one line."""

    def full(path, text):
        raise TuillmError(f"no space left to write {path}")

    monkeypatch.setattr(themes, "write_text", full)
    with pytest.raises(TuillmError, match="no space"):
        choose_theme("foxed")
    assert chosen_theme() == DEFAULT
