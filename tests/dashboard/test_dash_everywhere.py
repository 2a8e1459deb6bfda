"""What holds on every screen: help, footer, palette, ids of keys, all sizes, no colour."""

import pytest
from dashboard.furnished import furnish, going
from dashboard.pilot import opened, piloted, rows, shown, text_of, toasts, told, until, use
from textual.command import CommandList, CommandPalette
from textual.containers import VerticalScroll
from textual.widgets import Input
from textual.widgets._footer import FooterKey

from tuillm.dashboard.keymap import all_bindings
from tuillm.dashboard.palette import bindings_of
from tuillm.dashboard.screens.benchmarks import BenchmarksScreen
from tuillm.dashboard.screens.compare_runs import CompareRunsScreen
from tuillm.dashboard.screens.dialogs import Ask, Confirm
from tuillm.dashboard.screens.explore import ExploreScreen
from tuillm.dashboard.screens.file_picker import FilesScreen
from tuillm.dashboard.screens.help import HelpScreen
from tuillm.dashboard.screens.models import ModelsScreen
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.explore_view import ExplorePanel
from tuillm.dashboard.widgets.samples import Samples
from tuillm.store.paths import demo_book

pytestmark = pytest.mark.slow

SIZES = [(80, 24), (200, 60)]  # 120x40 is what most of the other tests have


async def tour(app, pilot):
    """Go to every screen with models and runs on it, and yield each once it is drawn."""
    yield await opened(pilot, ModelsScreen)
    await pilot.press("b")
    bench = await opened(pilot, BenchmarksScreen)
    await until(pilot, lambda: bench.has_class("-nothing"))
    yield bench
    await pilot.press("escape", "2")
    train = await opened(pilot, TrainScreen)
    yield train
    train.query_one("#field-corpus Input", Input).value = str(demo_book())
    await pilot.press("ctrl+e")
    explore = await opened(pilot, ExploreScreen)
    await until(pilot, lambda: explore.query(ExplorePanel))
    yield explore
    await pilot.press("escape", "ctrl+l")
    assert await opened(pilot, TrainScreen) is train
    await pilot.press("ctrl+o")
    yield await opened(pilot, FilesScreen)
    await pilot.press("escape", "escape", "3")
    yield await opened(pilot, RunsScreen)
    await pilot.press("g", "space", "space", "o")
    yield await opened(pilot, CompareRunsScreen)
    await pilot.press("escape", "g", "enter")
    yield await opened(pilot, RunScreen)
    await pilot.press("E")
    yield await opened(pilot, Ask)
    await pilot.press("escape", "question_mark")
    yield await opened(pilot, HelpScreen)
    await pilot.press("escape", "escape", "G", "d")
    yield await opened(pilot, Confirm)
    await pilot.press("n")
    await opened(pilot, RunsScreen)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_screen_at_every_size(home, size):
    """Nothing raises, no line is too long; the footer has ten keys at most, whatever has focus."""
    furnish(home)
    going(home)

    async def scenario(app, pilot):
        async for screen in tour(app, pilot):
            for panel in [None, *screen.focus_chain] if size == (80, 24) else [screen.focused]:
                screen.set_focus(panel)
                await pilot.pause()
                keys = [key for key in screen.query(FooterKey) if key.display]
                assert len(keys) <= 10, [key.description for key in keys]
                assert all(key.region.right <= size[0] for key in keys), "no key is cut off"
            assert all(len(line) <= size[0] for line in text_of(app).splitlines())
        assert not toasts(app)

    use(scenario, size)


@piloted(size=(80, 24))
async def test_resizing_while_it_runs(app, pilot, house):
    """A window that changes its size keeps the panel one looks at, and all four when they fit."""
    app.open_run("salt-road-3")
    screen = await opened(pilot, RunScreen)
    await pilot.press("tab", "tab")
    samples, chart = screen.query_one(Samples), screen.query_one(Chart)
    await until(pilot, lambda: samples.region.area and not chart.region.area)
    await pilot.resize_terminal(120, 40)
    await until(pilot, lambda: samples.region.area and chart.region.area)
    await pilot.resize_terminal(20, 6)
    await pilot.resize_terminal(1, 1)
    await pilot.resize_terminal(80, 24)
    await until(pilot, lambda: samples.region.area and not chart.region.area)
    assert screen.focused is samples


def test_no_color(house, monkeypatch):
    """With NO_COLOR every screen is there, on 40x12 as well, in greys alone."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(app, pilot):
        assert app.no_color
        async for screen in tour(app, pilot):
            await pilot.pause()
            assert all(len(line) <= 40 for line in text_of(app).splitlines())
            if isinstance(screen, ModelsScreen | RunsScreen):
                await shown(pilot, "salt-road")
            strips = screen._compositor.render_strips()
            for style in {segment.style for strip in strips for segment in strip}:
                color = style.color and style.color.triplet if style else None
                assert not color or color.red == color.green == color.blue

    use(scenario, (40, 12))


def test_every_key_has_an_id_of_its_own():
    """Whoever writes a keymap can name every key of ours, and no id means two actions."""
    from importlib import import_module
    from pkgutil import iter_modules

    from textual.binding import Binding
    from textual.dom import DOMNode

    from tuillm.dashboard import app, screens, widgets

    modules = [app] + [
        import_module(found.name)
        for package in (screens, widgets)
        for found in iter_modules(package.__path__, package.__name__ + ".")
    ]
    known = {}
    for module in modules:
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, DOMNode)
                and (kind.__module__ == module.__name__)
            ):
                for binding in vars(kind).get("BINDINGS", ()):
                    assert isinstance(binding, Binding) and binding.id, (kind, binding)
                    assert binding.description, binding
                    same = known.setdefault(binding.id, binding)
                    assert (same.action, same.key) == (binding.action, binding.key), binding
    assert {binding.id for binding in all_bindings()} == set(known) and len(known) > 60


@piloted(size=(120, 60))
async def test_help_for_where_one_stands(app, pilot, house):
    """`?` tells what the focused panel is for and lists its keys with their ids, then the rest."""
    await pilot.press("?")
    text = await shown(pilot, "This panel", "This screen", "Everywhere")
    for part in ("All models of your registry", "table.sort", "models.chat", "app.palette"):
        assert part in text, part
    await pilot.press("escape")
    app.open_run("salt-road-3")
    screen = await opened(pilot, RunScreen)
    screen.query_one(Samples).focus()
    await pilot.pause()
    await pilot.press("?")
    text = await shown(pilot, "What the model writes from the same beginning", "samples.earlier")
    assert "Earlier sample" in text and "chart.log" not in text
    scroll = app.screen.query_one(VerticalScroll)
    await pilot.press("?")
    await opened(pilot, RunScreen)
    screen.query_one(Chart).focus()
    await pilot.pause()
    await pilot.resize_terminal(80, 24)
    await pilot.press("?")
    await shown(pilot, "chart.log")
    scroll = app.screen.query_one(VerticalScroll)
    await pilot.press("j", "j", "j", "k")
    await until(pilot, lambda: scroll.scroll_offset.y == 2)
    await pilot.press("q")
    await opened(pilot, RunScreen)


async def palette(pilot, typed=""):
    """Open the palette, type, and return the names of its commands."""
    await pilot.press("ctrl+p", *typed)
    screen = await opened(pilot, CommandPalette)
    found = screen.query_one(CommandList)
    await until(pilot, lambda: screen.has_class("-ready") and found.option_count)
    return [option.hit.text for option in found._options]


@piloted()
async def test_the_palette_lists_every_action(app, pilot, house):
    """On each screen the palette has all that its keys can do, and the keys beside it."""
    for run_id in ("", "salt-road-3"):
        if run_id:
            app.open_run(run_id)
            await opened(pilot, RunScreen)
        screen = app.screen
        wanted = {
            binding.description
            for node, binding, keys in bindings_of(screen, screen.focused)
            if binding.action != "command_palette"
        }
        assert len(wanted) > 15
        names = await palette(pilot)
        assert set(names) == wanted and len(names) == len(wanted), "each action once"
        await pilot.press("escape")
        await until(pilot, lambda screen=screen: app.screen is screen)
    await pilot.press("escape", "1")
    await opened(pilot, ModelsScreen)


@piloted()
async def test_the_palette_runs_what_is_chosen(app, pilot, house):
    """A few letters find an action, Enter runs it on the screen below."""
    before = rows(app)
    names = await palette(pilot, "turn the order")
    assert names[0] == "Turn the order around"
    await pilot.press("enter")
    await opened(pilot, ModelsScreen)
    await until(pilot, lambda: rows(app)[0] == before[-1])
    await palette(pilot, "Rename")
    await pilot.press("enter")
    await opened(pilot, Ask)
    await pilot.press("escape")
    await palette(pilot, "runs")
    await pilot.press("enter")
    await opened(pilot, RunsScreen)
    app.open_run("salt-road-3")
    await opened(pilot, RunScreen)
    await palette(pilot, "Find in the log")
    await pilot.press("enter")
    await opened(pilot, Ask)
    await shown(pilot, "Find in the log")


@piloted()
async def test_places_are_reached_by_key_and_by_mouse(app, pilot, house):
    """1, 2 and 3 go to the places from anywhere, and so does a click on their names."""
    app.open_run("salt-road-3")
    view = await opened(pilot, RunScreen)
    await pilot.press("1")
    await opened(pilot, ModelsScreen)
    await pilot.press("3")
    assert await opened(pilot, RunScreen) is view, "one comes back to where one was"
    line = text_of(app).splitlines()[0]
    await pilot.click(offset=(line.index("Models") + 1, 0))
    await opened(pilot, ModelsScreen)
    await pilot.click(offset=(line.index("Runs") + 1, 0))
    assert await opened(pilot, RunScreen) is view
    await pilot.press("escape")
    await opened(pilot, RunsScreen)
    # a click on the head sorts, one on a row chooses it, a double click opens it
    head = text_of(app).splitlines()[2]
    await pilot.click(offset=(head.index("state"), 2))
    await shown(pilot, "state▴")
    names = rows(app)
    await pilot.click(offset=(5, 5))
    assert app.screen.target.id == names[2]
    await pilot.click(offset=(5, 4), times=2)
    assert (await opened(pilot, RunScreen)).run_id == names[1]


@piloted()
async def test_toasts_say_what_happened_to_a_person(app, pilot, house):
    """What goes wrong is a toast on the screen, safe to look at whatever a file is called."""
    from tuillm.errors import TuillmError

    app.show_error(TuillmError("[b]bold\x1b[31m \u202eevil", "[/]"))
    text = await told(pilot, "evil")
    assert text == "[b]bold[31m evil ([/])"
    await shown(pilot, "[b]bold[31m evil ([/])")


@pytest.mark.parametrize("width", [30, 61, 80, 120])
def test_a_toast_shows_all_of_its_message(home, width):
    """Also where its last word just does not fit on a line: those with 57 letters lost it once."""

    async def scenario(app, pilot):
        for length in range(24, 62):
            app.clear_notifications()
            end = f"{100 + length}"
            app.notify(("salt " * 20)[: length - len(end)] + end)
            await until(pilot, lambda end=end: end in text_of(app), 5)

    use(scenario, (width, 24))
