"""Themes and a person's own keys: chosen, kept, tried out, and harmless when they are broken."""

import pytest
from dashboard.pilot import opened, piloted, rows, shown, toasts, told, until, use
from textual.command import CommandList, CommandPalette

from tuillm.dashboard.keymap import read_keymap
from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.help import HelpScreen
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.themes import ThemesScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.store.paths import config_dir
from tuillm.theme import DEFAULT, ROLES, chosen_theme, list_themes, load_theme

pytestmark = pytest.mark.slow


def own(name, text):
    """Write a file of the person's own into the config directory."""
    path = config_dir() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def theme_text(about="", **changes):
    """The text of a theme file: the default's colours with some others."""
    colors = load_theme(DEFAULT).colors | changes
    lines = "".join(f'{role} = "{colors[role]}"\n' for role in ROLES)
    return f"about = '{about}'\n[colors]\n{lines}"


async def themes(pilot, typed=""):
    """Open the list of themes, type, and return the panel."""
    await pilot.press("ctrl+t", *typed)
    screen = await opened(pilot, ThemesScreen)
    await until(pilot, lambda: screen.names)
    return screen


@piloted()
async def test_trying_themes_out(app, pilot, house):
    """The screen is seen in each theme while its name is highlighted; Escape goes back."""
    await until(pilot, lambda: len(app.themes.all) > 6)
    screen = await themes(pilot)
    names = screen.names
    assert names == sorted(theme.name for theme in list_themes()[0])
    assert await shown(pilot, load_theme(DEFAULT).about[:25], "bits per byte")
    seen, first = [], names.index(DEFAULT)
    for name in names[first : first + 4]:
        await until(pilot, lambda name=name: app.theme == name)
        assert app.current_theme.primary == load_theme(name)["primary"]
        seen.append(name)
        await pilot.press("down")
    assert len(set(seen)) == len(seen) > 1
    await pilot.press("escape")
    await opened(pilot, ModelsScreen)
    await until(pilot, lambda: app.theme == DEFAULT)
    assert chosen_theme() == DEFAULT and not toasts(app)


def test_choosing_a_theme(home):
    """Enter keeps the theme, here and for the next dashboard."""

    async def scenario(app, pilot):
        await until(pilot, lambda: len(app.themes.all) > 6)
        await themes(pilot, "northl")
        await pilot.press("enter")
        await opened(pilot, ModelsScreen)
        await until(pilot, lambda: app.theme == "northlight")
        assert chosen_theme() == "northlight"
        await pilot.press("ctrl+p", "escape")
        await opened(pilot, ModelsScreen)
        assert app.theme == "northlight"

    async def later(app, pilot):
        assert app.theme == "northlight"
        await until(pilot, lambda: len(app.themes.all) > 6)
        await themes(pilot)
        await pilot.press("down", "down", "escape")
        await until(pilot, lambda: app.theme == "northlight")

    use(scenario)
    use(later)


@piloted()
async def test_the_palette_finds_themes_by_name(app, pilot, home):
    """A theme that is chosen there is kept; what was only looked at is not."""
    await until(pilot, lambda: len(app.themes.all) > 6)
    await pilot.press("ctrl+p", *"foxed")
    screen = await opened(pilot, CommandPalette)
    found = screen.query_one(CommandList)
    await until(pilot, lambda: screen.has_class("-ready") and found.option_count)
    await pilot.press("enter", "enter")
    await opened(pilot, ModelsScreen)
    await until(pilot, lambda: app.theme == "foxed" == chosen_theme())


def test_a_theme_of_ones_own(house):
    """A good file in the config directory is offered, whatever characters its line has."""
    own("themes/mine.toml", theme_text("[/] as [b]dark as [ night", primary="#123456"))

    async def scenario(app, pilot):
        await until(pilot, lambda: len(app.themes.all) > 6)
        await themes(pilot, "mine")
        await until(pilot, lambda: app.theme == "mine")
        assert app.current_theme.primary == "#123456"
        await shown(pilot, "[/] as [b]dark as [ night")
        await pilot.press("enter")
        await until(pilot, lambda: chosen_theme() == "mine")

    use(scenario)


def test_broken_themes_are_named_once(house):
    """Each broken file is named in a toast with what is wrong; the good ones are there."""
    own("themes/torn.toml", "[colors\n")
    own("themes/wrong.toml", theme_text(primary="salmon"))
    own("themes/fine.toml", theme_text())
    own("settings.toml", 'theme = "wrong"\n')

    async def scenario(app, pilot):
        await told(pilot, "torn.toml cannot be read")
        await told(pilot, "wrong.toml: primary is 'salmon' (a colour is like '#e0a458')")
        names = {theme.name for theme in app.themes.all}
        assert "fine" in names and not names & {"torn", "wrong"}
        assert app.theme == DEFAULT, "what cannot be used is replaced by the default"
        await pilot.press("3")
        await opened(pilot, RunsScreen)
        assert len(toasts(app)) == 2
        await shown(pilot, "salmon")

    use(scenario)


def test_a_keymap_changes_keys(house):
    """A line of keymap.toml gives an action another key, in the footer and the help as well."""
    own(
        "keymap.toml",
        '[keys]\n"models.rename" = "f5,z"\n"app.runs" = "ctrl+g"\n'
        '"table.down" = "ö"\n"models.chat" = "f6"\n"confirm.yes" = "j"\n',
    )

    async def scenario(app, pilot):
        await shown(pilot, "f6 Chat")
        for key in ("f5", "z"):
            await pilot.press(key)
            await opened(pilot, Ask)
            await pilot.press("escape")
        await pilot.press("r")
        assert isinstance(app.screen, ModelsScreen), "the old key is free"
        await pilot.press("ö", "ö")
        await until(pilot, lambda: app.screen.current.name == rows(app)[2])
        await pilot.press("question_mark")
        await opened(pilot, HelpScreen)
        await shown(pilot, "ö", "f5")
        await pilot.press("escape", "3")
        assert isinstance(app.screen, ModelsScreen)
        await pilot.press("ctrl+g")
        await opened(pilot, RunsScreen)
        await pilot.press("g", "d", "j")
        await told(pilot, "deleted salt-road-3")
        assert not [text for text in toasts(app) if "keymap" in text]

    use(scenario)


def test_broken_keymap_lines_are_named_once(house):
    """A line that means nothing is named with the nearest id; the good lines hold."""
    own(
        "keymap.toml",
        '"models.chta" = "f5"\n"models.copy" = 5\n"models.export" = "a,,b"\n'
        '"models.rename" = "f7"\n',
    )

    async def scenario(app, pilot):
        await told(
            pilot, "keymap.toml:1: no key has the id 'models.chta' (did you mean 'models.chat'?)"
        )
        await told(pilot, "models.copy is 5")
        await told(pilot, "models.export is 'a,,b' (write it like")
        assert len(toasts(app)) == 3
        await pilot.press("f7")
        await opened(pilot, Ask)
        await pilot.press("escape", "2")
        await opened(pilot, TrainScreen)
        assert len(toasts(app)) == 3

    use(scenario)


def test_unknown_keys_and_collisions_are_told_with_their_lines(house):
    """A key that there is not is passed over; one that another id has as well holds."""
    own("keymap.toml", '[keys]\n"models.copy" = "ctlr+y"\n"models.rename" = "c"\n')
    keymap, errors = read_keymap()
    assert keymap == {"models.rename": "c"}
    unknown, taken = map(str, errors)
    assert "keymap.toml:2: there is no key 'ctlr+y'" in unknown
    assert "keymap.toml:3: models.rename takes 'c', the key of models.chat" in taken


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"models.export" = "q"', "models.export takes 'q', the key of app.quit"),
        ('"models.remove" = "d"', ""),
        ('"confirm.yes" = "q"', "confirm.yes takes 'q', the key of confirm.no"),
    ],
    ids=["the app's", "as it is anyway", "a dialog's own"],
)
def test_which_keys_collide(home, line, said):
    """Those of a screen with the app's as well; not those that are never offered together."""
    own("keymap.toml", f"{line}\n")
    _, errors = read_keymap()
    assert [said in str(error) for error in errors] == ([True] if said else [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[keys\n", "cannot be read"),
        ("\xff", "cannot be read"),
        ('keys = "f5"\n', "keys"),
        ("keys = 3\n", "keys"),
    ],
)
def test_a_keymap_that_is_no_keymap(home, text, said):
    """A file that cannot be read is named, and the usual keys are in use."""
    path = own("keymap.toml", "")
    path.write_bytes(text.encode("latin-1"))
    keymap, errors = read_keymap()
    assert keymap == {} and len(errors) == 1 and said in str(errors[0])
    assert str(path) in str(errors[0])


def test_without_a_keymap_nothing_is_said(home):
    """No file, an empty file and an empty table mean the usual keys."""
    assert read_keymap() == ({}, [])
    own("keymap.toml", "")
    assert read_keymap() == ({}, [])
    own("keymap.toml", "[keys]\n")
    assert read_keymap() == ({}, [])
