"""From the form: what a text is made of, found by a process that ends with the screen."""

import json

import pytest
from dashboard.pilot import opened, piloted, shown, text_of, told, type_text, until, use
from rich.cells import cell_len
from textual.widgets import Input

from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.explore import ExploreScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.explore_panels import panels_of
from tuillm.dashboard.widgets.explore_view import ExplorePanel, ExploreView
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.store.workers import explore_process
from tuillm.text_report.html_page import PAGE_START


@pytest.fixture
def questions(tmp_path):
    """A file of forty questions with answers."""
    path = tmp_path / "questions.jsonl"
    record = {"question": "Who goes there?", "answer": "Nobody but me."}
    path.write_text("".join(json.dumps(record | {"id": number}) + "\n" for number in range(40)))
    return path


async def form_of(pilot, path):
    """Go to the form and fill in a text."""
    await pilot.press("2")
    form = (await opened(pilot, TrainScreen)).query_one(TrainForm)
    form["corpus"].fill(str(path))
    return form


async def explored(pilot):
    """Press the key, and wait until all is counted."""
    await pilot.press("ctrl+e")
    screen = await opened(pilot, ExploreScreen)
    await until(pilot, lambda: screen._seen and screen.query(ExplorePanel))
    return screen


def color_of(app, words):
    """The colour in which some words stand on the screen."""
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            if words in segment.text:
                return segment.style.color.name
    raise AssertionError(f"{words!r} is not there")


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_a_text_is_explored_from_the_form(app, pilot, questions, monkeypatch):
    """All settings of reading count; the question is dimmed; the page is written, never over
    another file; one comes back to the form.
    """
    monkeypatch.chdir(questions.parent)
    form = await form_of(pilot, questions)
    form["limit"].fill("30")
    screen = await explored(pilot)
    text = await shown(pilot, "What a model reads first", "<|user|>┊W┊h┊o┊", "30 questions")
    for part in ("Size", "Language", "Tokens", "● char", "Documents · 30", "<|endoftext|>│"):
        assert part in text, part
    dimmed, learned = color_of(app, "<|user|>"), color_of(app, "<|endoftext|>")
    assert dimmed == app.theme_variables["text-disabled"] != learned
    await until(pilot, lambda: not screen._process.running)

    await pilot.press("w")
    line = (await opened(pilot, Ask)).query_one(Input)
    assert line.value == "questions.html"
    line.value = ""
    await type_text(pilot, "questions.jsonl")
    await shown(pilot, "is there already")
    await pilot.press("enter")
    line.value = "page.html"
    await pilot.press("enter")
    await told(pilot, "wrote page.html")
    page = (questions.parent / "page.html").read_text()
    assert page.startswith(PAGE_START) and 'class="special masked"' in page
    assert questions.read_text().startswith("{")
    await pilot.press("t")
    assert (await opened(pilot, TrainScreen)).query_one(TrainForm)["limit"].text == "30"


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_leaving_ends_the_process(app, pilot, book):
    """At once, whatever it is doing; nothing is said of it."""
    await form_of(pilot, book)
    await pilot.press("ctrl+e")
    screen = await opened(pilot, ExploreScreen)
    process = screen._process
    await pilot.press("w")
    assert app.screen is screen, "there is no page of a text that was not looked at"
    await pilot.press("escape")
    await opened(pilot, TrainScreen)
    await until(pilot, lambda: not process.running)
    assert not app._notifications


@pytest.mark.slow
@piloted(size=(120, 40))
async def test_without_a_text_there_is_nothing_to_explore(app, pilot, home):
    """The form stays, and says so."""
    await pilot.press("2")
    await opened(pilot, TrainScreen)
    await pilot.press("ctrl+e")
    await told(pilot, "no text was named")
    await form_of(pilot, home / "nowhere.txt")
    await pilot.press("ctrl+e")
    await told(pilot, "does not exist")
    assert isinstance(app.screen, TrainScreen)


@pytest.mark.slow
@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    "content, words",
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ('print(\'{"exploration": {"label": 7}}\')', "the exploration says what it should not"),
        ('print(\'{"error": "the text is [b]wrong", "hint": "x"}\')', "the text is [b]wrong (x)"),
    ],
)
@piloted(size=(120, 40))
async def test_what_goes_wrong_is_on_the_screen(
    app, pilot, book, tmp_path, monkeypatch, content, words
):
    """And what the process prints besides is said."""
    (tmp_path / "other_explorer.py").write_text(f"print('Loading: 1%', flush=True)\n{content}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(explore_process, "_MODULE", "other_explorer")
    await form_of(pilot, book)
    await pilot.press("ctrl+e")
    await opened(pilot, ExploreScreen)
    await told(pilot, "the exploration printed: Loading: 1%")
    await shown(pilot, words)


@pytest.mark.slow
def test_columns_as_there_is_room(questions):
    """One at 80 columns, two at 120, three at 200; keys scroll, and Tab goes to the next panel."""

    async def scenario(app, pilot):
        await form_of(pilot, questions)
        screen = await explored(pilot)
        view = screen.query_one(ExploreView)

        async def columns(number):
            await until(pilot, lambda: len(screen.query(".explore-column")) == number)
            await until(pilot, lambda: screen.query(ExplorePanel).first().region.area)
            assert all(len(line) <= app.size.width for line in text_of(app).splitlines())

        await columns(1)
        await pilot.press("tab")
        await until(pilot, lambda: view.scroll_offset.y > 0)
        await pilot.press("g", "G")
        await until(pilot, lambda: view.scroll_offset.y == view.max_scroll_y)
        for size, number in (((120, 40), 2), ((200, 60), 3), ((20, 6), 1), ((1, 1), 1)):
            await pilot.resize_terminal(*size)
            await columns(number) if size[0] > 20 else await pilot.pause()
        assert app.is_running and not app.failure

    use(scenario, (80, 24))


@pytest.mark.parametrize("width", [8, 30, 40, 56, 96])
def test_no_line_is_wider_than_its_panel(width, questions, book):
    """Whatever script the text is of."""
    from tuillm.text import read_corpus
    from tuillm.text.statistics.exploration import explore

    path = book.with_name("wide.txt")
    path.write_text("漢字かな交じり文。これは長い一行です、そして空白がない。\n" * 60)
    colors = {"muted": "#808080"}
    for source in (questions, book, path):
        seen = explore(read_corpus((str(source),)))
        for panel in panels_of(seen, width, colors):
            assert all(cell_len(line.plain) <= width for line in panel.lines), panel.name
