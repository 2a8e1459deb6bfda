"""A walk of every screen in a home full of hostile names, cards and figures, at 80x24.

Nothing that came out of the data is drawn raw, no line grows longer than the window, nothing dies.
A new screen has to be added to the walk, or a test fails.
"""

import importlib
import json
import pkgutil
import shlex
import shutil
import time
from dataclasses import replace

import pytest
from dashboard.pilot import opened, piloted, rows, shown, told, type_text, until
from hostile import EVIL, NAMES, acts, hostile_home, text_of
from rich.segment import Segment
from textual.command import CommandPalette
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input, Static

from tuillm.bench.bench_history import keep
from tuillm.chat.conversation.tree import Node, Tree
from tuillm.config import build_train
from tuillm.dashboard import screens
from tuillm.dashboard.app import Dashboard
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
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.errors import TuillmError, printable
from tuillm.store.sessions import SavedSession, SessionHead, save_session
from tuillm.store.workers.forecast_process import Forecast
from tuillm.text.preview import preview

SMALL = (80, 24)
WALKED = {
    ModelsScreen,
    TrainScreen,
    RunsScreen,
    RunScreen,
    CompareRunsScreen,
    ExploreScreen,
    BenchmarksScreen,
    Ask,
    Confirm,
    ExportDialog,
    FilesScreen,
    HelpScreen,
    PullDialog,
    ConversationsScreen,
    MeaningsScreen,
    ThemesScreen,
}


@pytest.fixture
def hostile(home, trained_folders):
    """The home, filled."""
    return hostile_home(home, trained_folders["bpe"])


def harmless(app):
    """Whether the screen as it is now acts on no terminal, and each line is as long as it says."""
    width = app.size.width
    for strip in app.screen._compositor.render_strips():
        text = "".join(segment.text for segment in strip)
        assert printable(text) == text and "\n" not in text and "\t" not in text, repr(text)
        assert Strip(list(strip)).cell_length == width, repr(text)
    assert app.is_running and not app.failure, app.failure
    return True


async def each_row(app, pilot):
    """Go down a table row by row, looking at the details of each."""
    await pilot.press("g")
    for _ in rows(app):
        assert harmless(app)
        await pilot.press("j")


def test_every_screen_is_walked():
    """A screen that is added to the dashboard is added here, too."""
    found = set()
    for module in pkgutil.iter_modules(screens.__path__, screens.__name__ + "."):
        for kind in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, Screen)
                and (kind.__module__ == module.name)
            ):
                found.add(kind)
    bases = {base for kind in found for base in kind.__mro__[1:]}
    assert found - bases == WALKED


@pytest.mark.slow
@piloted(SMALL)
async def test_models(app, pilot, hostile):
    """The table and the details of each model, and every question about one."""
    await until(pilot, lambda: len(rows(app)) > len(NAMES))
    await pilot.press("i", "s", "s", "S")
    await each_row(app, pilot)
    await pilot.press("i", "g")
    for name in map(text_of, NAMES[:3]):
        app.screen.seek(name)
        for key, answer in (
            ("r", "enter"),
            ("y", "enter"),
            ("d", "n"),
            ("e", "escape"),
            ("P", "enter"),
            ("P", "escape"),
            ("X", "escape"),
        ):
            await pilot.press(key)
            await opened(pilot, Ask | Confirm | ExportDialog | PullDialog)
            assert harmless(app)
            await pilot.press(answer)
            await until(pilot, lambda: harmless(app))
            if isinstance(app.screen, Ask | PullDialog):
                await pilot.press("escape")
            await opened(pilot, ModelsScreen)
    for key, kind in (("w", MeaningsScreen), ("ctrl+t", ThemesScreen)):
        await pilot.press(key)
        await opened(pilot, kind)
        await until(pilot, lambda: harmless(app))
        await pilot.press("escape")
    await opened(pilot, ModelsScreen)
    await pilot.press("/")
    await type_text(pilot, "red")
    assert harmless(app)
    await pilot.press("escape", "question_mark")
    await opened(pilot, HelpScreen)
    assert harmless(app)


@pytest.mark.slow
@piloted((120, 40))
async def test_conversations(app, pilot, hostile):
    """With models of any name, of any words; each is read, and asked about."""
    for name in map(text_of, NAMES):
        tree = Tree()
        tree.append(Node(who="you", text=f"{EVIL}[b]{name}", parent=None))
        head = SessionHead(model=name, title=f"{EVIL}{name}", nodes=1)
        save_session(SavedSession(head, {}, tree.to_json()))
    await pilot.press("v", "a")
    await opened(pilot, ConversationsScreen)
    await until(pilot, lambda: len(rows(app)) > len(NAMES))
    await each_row(app, pilot)
    for key in ("e", "d"):
        await pilot.press(key)
        await opened(pilot, Ask | Confirm)
        assert harmless(app)
        await pilot.press("escape")
    await pilot.press("escape")
    await opened(pilot, ModelsScreen)


@pytest.mark.slow
@piloted(SMALL)
async def test_runs(app, pilot, hostile):
    """The table and the details of each run, several over each other, every question about one."""
    await pilot.press("3")
    await opened(pilot, RunsScreen)
    await until(pilot, lambda: len(rows(app)) > len(NAMES))
    await pilot.press("i", "s", "s", "S")
    await each_row(app, pilot)
    await pilot.press("i", "g")
    for key in ("p", "x", "R", "e", "a", "E", "d"):
        await pilot.press(key)
        assert harmless(app)
        if isinstance(app.screen, Ask | Confirm):
            await pilot.press("escape")
    await pilot.press("g", *["space"] * 6, "o")
    screen = await opened(pilot, CompareRunsScreen)
    for key in ("m", "m", "M", "X", "X", "tab", "j", "tab", "escape"):
        await until(pilot, lambda: harmless(app))
        await pilot.press(key)
    assert screen not in app.screen_stack


@pytest.mark.slow
@piloted(SMALL)
async def test_each_run(app, pilot, hostile):
    """The live view of every run, panel by panel."""
    await pilot.press("3")
    await until(pilot, lambda: len(app.runs) > len(NAMES))
    seen = {text_of(name) for name in NAMES[4:]}
    for entry in [entry for entry in app.runs if entry.id not in seen]:
        app.open_run(entry.id)
        screen = await opened(pilot, RunScreen)
        await until(pilot, lambda screen=screen: not screen._follower._reading)
        for key in ("X", "tab", "tab", "tab"):
            assert harmless(app), entry.id
            await pilot.press(key)
        await pilot.press("escape")
        await opened(pilot, RunsScreen)


@pytest.mark.slow
@piloted(SMALL)
async def test_the_form(app, pilot, hostile, tmp_path, monkeypatch):
    """Models to start from, paths that are typed, completed, dropped and picked, the forecast."""
    folder = tmp_path / "books"
    folder.mkdir()
    for name in NAMES:
        (folder / text_of(name)).write_text("Some words. " * 99)
    shutil.copytree(folder, folder / f"below{EVIL}")
    monkeypatch.chdir(folder)
    await until(pilot, lambda: len(app.models) > len(NAMES))
    for named in map(text_of, NAMES):
        app.train_from(named)
        await opened(pilot, TrainScreen)
        await pilot.pause()
        assert harmless(app)
    form = app.screen
    form.query_one("#field-init_from Select").expanded = True
    await pilot.pause()
    for _ in range(8):
        assert harmless(app)
        await pilot.press("down")
    await pilot.press("escape", "ctrl+l")
    line = form.query_one("#field-corpus Input", Input)
    for typed in [*map(text_of, NAMES), EVIL, "no\udce9", "x" * 300]:
        line.value = str(folder / typed)
        await pilot.pause()
        assert harmless(app)
    await pilot.press("ctrl+r")
    await until(pilot, lambda: harmless(app))
    app.screen.query_one("#field-name Input", Input).value = EVIL
    await pilot.press("ctrl+l", "ctrl+o")
    table = (await opened(pilot, FilesScreen)).query_one(EntryTable)
    await until(pilot, lambda: len(table.rows) >= len(NAMES))
    for _ in range(len(NAMES) + 3):
        assert harmless(app)
        await pilot.press("j")
    await pilot.press("enter", "escape")


@pytest.mark.slow
@piloted(SMALL)
async def test_an_exploration(app, pilot, hostile, tmp_path):
    """A text full of what acts on terminals, in a file of such a name, panel by panel."""
    path = tmp_path / f"{EVIL.replace('/', '')}[red].jsonl"
    line = json.dumps({"question": f"w{EVIL}rd [b]", "answer": f"{EVIL}[/] \u0301"}) + "\n"
    path.write_text(line * 90)
    await pilot.press("2")
    (await opened(pilot, TrainScreen)).query_one("#field-corpus Input", Input).value = shlex.quote(
        str(path)
    )
    await pilot.press("ctrl+e")
    screen = await opened(pilot, ExploreScreen)
    await until(pilot, lambda: harmless(app) and screen._seen)
    for key in ("tab", "tab", "G", "g", *["pagedown"] * 4, "w"):
        await pilot.press(key)
        assert harmless(app)
    await opened(pilot, Ask)
    await pilot.press("escape", "escape")


@pytest.mark.slow
@piloted(SMALL)
async def test_the_benchmarks(app, pilot, hostile):
    """A history whose names act on terminals, shown as bars and over time."""
    row = dict(measure="decode", program=EVIL, case=f"[red]{EVIL}", threads=2, unit="tokens/s")
    row |= dict(value=5.0, slow=4.0, fast=6.0, of_limit=0.5, against=None)
    for days in (3, 2, 1):
        keep(
            dict(
                time=time.time() - 86_400 * days,
                fingerprint=EVIL,
                model=f"{EVIL}[b]",
                tokens=32,
                results=[row, row | {"program": "tuillm"}],
            )
        )
    await pilot.press("b")
    await opened(pilot, BenchmarksScreen)
    await until(pilot, lambda: harmless(app))
    for key in ("j", "j", "k", "m", "tab", "tab"):
        await pilot.press(key)
        assert harmless(app)
    await pilot.press("escape")


@pytest.mark.slow
@piloted(SMALL)
async def test_what_a_corpus_begins_with(app, pilot, tmp_path):
    """Names and values of fields, offered and previewed."""
    table = tmp_path / "pairs.jsonl"
    row = {"question": EVIL, "answer": f"[b]{EVIL}[/]", f"{EVIL}[/]": EVIL, "[red]": "x" * 500}
    table.write_text((json.dumps(row) + "\n") * 9, encoding="utf-8")
    seen = preview(build_train({"corpus": str(table)}))
    assert seen.document and len(seen.fields) == 4
    await pilot.press("2")
    screen = await opened(pilot, TrainScreen)
    form, panel = screen.query_one(TrainForm), screen.query_one(ForecastPanel)
    form.show_preview(replace(seen, chosen={**seen.chosen, "answer": f"[b]{EVIL}[/]"}))
    panel.show(Forecast(stage="preview", preview=seen))
    await pilot.press("ctrl+a")
    form["answer_field"].query_one(Input).focus()
    await pilot.press("enter")
    for _ in range(6):
        assert harmless(app)
        panel.scroll_page_down(animate=False)
        await pilot.press("down")
    await pilot.press("enter")
    assert harmless(app)
    panel.fail(TuillmError(f"[b]{EVIL}[/]"))
    await pilot.pause()
    assert harmless(app)


@piloted(SMALL)
async def test_what_is_said(app, pilot, hostile):
    """Toasts, questions, titles and the palettes, and a widget that is given what it should not."""
    app.show_error(TuillmError(f"[b]{EVIL}\udce9", "[/] [x"))
    await told(pilot, "end")
    app.notify(f"{EVIL}[/]\udce9")
    await until(pilot, lambda: harmless(app))
    app.screen.mount(Static(f"raw {EVIL}\udce9", markup=False))
    app.screen.title = app.title = EVIL
    app.screen.query_one(Static).border_title = EVIL.replace("[", "(")
    await shown(pilot, "raw [31337")
    assert harmless(app)
    app.push_screen(Confirm(EVIL, f"{EVIL}[/]\udce9", EVIL))
    await opened(pilot, Confirm)
    assert harmless(app)
    await pilot.press("n", "ctrl+p")
    await opened(pilot, CommandPalette)
    await type_text(pilot, "the")
    await until(pilot, lambda: harmless(app))
    await pilot.press("escape", "ctrl+t")
    await opened(pilot, ThemesScreen)
    await until(pilot, lambda: harmless(app))


@pytest.mark.slow
def test_in_a_real_terminal(terminal, hostile):
    """All places on a real terminal: not one byte of the data is obeyed, and q leaves."""
    screen = terminal("dashboard")
    screen.wait(lambda _: "Palette" in screen.picture and "xxxx" in screen.picture)
    for keys in (
        "i",
        *"jjjjjjjj",
        "r",
        "\x1b",
        "3",
        *"jjjjj",
        "\r",
        "\t",
        "\t",
        "\t",
        "1",
        "2",
        "\x0f",
        "jjjj",
        "\x1b",
        "\x1b",
        "1",
    ):
        screen.press(keys)
        screen.settle(0.3)  # else Escape and what follows are one key
    assert acts(screen.raw) == []
    screen.press("q")
    assert screen.wait_end() == 0, screen.text
    assert acts(screen.raw) == [] and "Traceback" not in screen.text


def test_the_filter_keeps_widths():
    """What is left out is as wide as nothing, whatever the segment."""
    from tuillm.dashboard.safe_output import SafeLines

    segments = [Segment(f"a{EVIL}\udce9\n\tb"), Segment("漢字"), Segment("plain")]
    done = SafeLines().apply(segments, None)
    assert Strip(done).cell_length == Strip(segments).cell_length
    assert [printable(segment.text) for segment in done] == [segment.text for segment in done]
    assert done[1:] == segments[1:] and isinstance(Dashboard().get_line_filters()[-1], SafeLines)
