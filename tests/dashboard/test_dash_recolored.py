"""After another theme was chosen no text keeps the colours of the one before."""

import pytest
from dashboard.pilot import opened, strips_of, text_of, until, use

from tuillm.dashboard.screens.compare_runs import CompareRunsScreen
from tuillm.dashboard.screens.help import HelpScreen
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.store.paths import config_dir
from tuillm.theme import DEFAULT

pytestmark = pytest.mark.slow

LIGHT = "northlight"
VISITS = {
    "models": ((), ModelsScreen),
    "train": (("2", "escape"), TrainScreen),
    "runs": (("3",), RunsScreen),
    "run": (("3", "g", "enter"), RunScreen),
    "overlay": (("3", "g", "space", "space", "o"), CompareRunsScreen),
    "help": (("question_mark",), HelpScreen),
}


def drawn(app):
    """Each cell of the screen with its colours, row by row."""
    return [
        [
            (character, segment.style and (segment.style.color, segment.style.bgcolor))
            for segment in strip
            for character in segment.text
        ]
        for strip in strips_of(app)
    ]


def use_theme(name):
    """Begin with a theme from the next start on."""
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "settings.toml").write_text(f'theme = "{name}"\n', encoding="utf-8")


async def visit(app, pilot, name):
    """Go to a screen and wait until it stands still."""
    await until(pilot, lambda: len(app.themes.all) > 6)
    keys, kind = VISITS[name]
    for key in keys:
        if key == "escape":
            await until(pilot, lambda: app.focused is not None)
        await pilot.press(key)
    await opened(pilot, kind)
    await settle(app, pilot)


async def settle(app, pilot):
    """Wait until nothing changes from one look to the next."""
    seen = [None]

    def same():
        before, seen[0] = seen[0], drawn(app)
        return before == seen[0]

    await until(pilot, same)
    await until(pilot, same)


@pytest.mark.parametrize("name", VISITS)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
def test_a_screen_is_drawn_as_if_it_had_begun_in_the_theme(house, name, size):
    """Every cell has the colours that it has where the dashboard starts in the other theme."""
    pictures = {}

    async def changed(app, pilot):
        assert app.theme == DEFAULT
        await visit(app, pilot, name)
        app.theme = LIGHT
        await settle(app, pilot)
        pictures["changed"] = drawn(app), text_of(app)

    async def begun(app, pilot):
        assert app.theme == LIGHT
        await visit(app, pilot, name)
        pictures["begun"] = drawn(app), text_of(app)

    use(changed, size)
    use_theme(LIGHT)
    use(begun, size)
    (ours, text), (theirs, wanted) = pictures["changed"], pictures["begun"]
    assert text == wanted
    different = [
        (row, "".join(cell[0] for cell in line), line[column], other[column])
        for row, (line, other) in enumerate(zip(ours, theirs, strict=True))
        for column in range(len(line))
        if line[column] != other[column]
    ]
    assert not different, different[:5]
