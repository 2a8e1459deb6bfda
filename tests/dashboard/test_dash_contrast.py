"""Whether everything that is drawn can be read: each colour of a text beside its background.

WCAG 2's contrast of a text is (lighter + 0.05) / (darker + 0.05) of relative luminances; 4.5 is AA
for text of usual size (https://www.w3.org/TR/WCAG21/#contrast-minimum).
"""

import pytest
from dashboard.furnished import going
from dashboard.pilot import opened, strips_of, until, use
from dashboard.test_dash_recolored import settle
from textual.color import Color
from textual.command import CommandPalette

from tuillm.dashboard.screens.benchmarks import BenchmarksScreen
from tuillm.dashboard.screens.compare_runs import CompareRunsScreen
from tuillm.dashboard.screens.conversations import ConversationsScreen
from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.dashboard.screens.explore import ExploreScreen
from tuillm.dashboard.screens.export_dialog import ExportDialog
from tuillm.dashboard.screens.file_picker import FilesScreen
from tuillm.dashboard.screens.help import HelpScreen
from tuillm.dashboard.screens.meanings import MeaningsScreen
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.pull_dialog import PullDialog
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.themes import ThemesScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.theme import list_themes

pytestmark = pytest.mark.slow

AA = 4.5
NAMES = sorted(theme.name for theme in list_themes()[0])
# keys from one screen to the next
TOUR = [
    ("1", ModelsScreen),
    ("w", MeaningsScreen),
    ("escape question_mark", HelpScreen),
    ("escape r", Ask),
    ("escape e", ExportDialog),
    ("escape P", PullDialog),
    ("escape d", Confirm),
    ("escape ctrl+t", ThemesScreen),
    ("escape ctrl+p", CommandPalette),
    ("escape v", ConversationsScreen),
    ("escape b", BenchmarksScreen),
    ("escape 2", TrainScreen),
    ("ctrl+o", FilesScreen),
    ("escape ctrl+e", ExploreScreen),
    ("escape escape escape 3", RunsScreen),
    ("g enter", RunScreen),
    ("escape g space space o", CompareRunsScreen),
]


_DIALOGS = ".dialog, #themes, CommandPalette > Vertical"


def luminance(color):
    """The relative luminance of WCAG 2, 0 to 1."""

    def linear(part):
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part / 255) for part in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def unreadable(app):
    """Letters and digits whose contrast is too low, with it; not what a dialog dims."""
    top = app.screen.query_one(_DIALOGS).region if app.screen.is_modal else None
    found = {}
    for y, strip in enumerate(strips_of(app)):
        x = 0
        for segment in strip:
            inside = top is None or top.contains(x, y)
            x += segment.cell_length
            style = segment.style
            if not inside or not style or not any(map(str.isalnum, segment.text)):
                continue
            if not style.color or not style.bgcolor:
                continue
            front, back = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
            if style.reverse:
                front, back = back, front
            if (ratio := contrast(front, back)) < AA:
                found.setdefault((front.hex, back.hex), (round(ratio, 2), segment.text.strip()))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_all_text_can_be_read(house, tmp_path, monkeypatch, name):
    """On every screen, of running and of ended runs, at the size that shows most."""
    going(house)
    book = tmp_path / "book.txt"
    book.write_text("The ferry came at noon.\n" * 200)
    monkeypatch.chdir(tmp_path)
    found = {}

    async def scenario(app, pilot):
        await until(pilot, lambda: len(app.themes.all) == len(NAMES))
        app.theme = name
        for keys, kind in TOUR:
            await pilot.press(*keys.split())
            await opened(pilot, kind)
            if kind is TrainScreen:
                app.screen.query_one(TrainForm)["corpus"].fill("book.txt")
            if kind is ExploreScreen:
                await until(pilot, lambda: app.screen.query("ExplorePanel"))
            await settle(app, pilot)
            if bad := unreadable(app):
                found[kind.__name__] = bad

    use(scenario, (200, 60))
    assert not found


def test_what_is_measured_is_the_contrast_of_wcag():
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)
