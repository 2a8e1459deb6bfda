"""The live view of one run: what its panels show, and the wheel, with a real worker.

One worker serves all these tests. It is paused while nobody needs it, and killed at the end.
"""

import os

import pytest
from dashboard.pilot import (
    both_sizes,
    opened,
    piloted,
    points,
    reached,
    shown,
    text_of,
    toasts,
    told,
    until,
    use,
)
from textual.widgets import Input

from tuillm.config import build_train
from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.figures import Figures
from tuillm.dashboard.widgets.log import LogTail
from tuillm.dashboard.widgets.samples import Samples
from tuillm.store.jsonl import read_rows
from tuillm.store.run_folder import Run
from tuillm.store.workers import processes
from tuillm.store.workers.launch import start_run

pytestmark = pytest.mark.slow

PANELS = (Chart, Figures, Samples, LogTail)


@pytest.fixture(scope="module")
def worker(tmp_path_factory, book_text):
    """The home of one real run, `book-1`, that never ends by itself."""
    place = tmp_path_factory.mktemp("live")
    book = place / "book.txt"
    book.write_text(book_text, encoding="utf-8")
    before = os.environ.get("TUILLM_HOME")
    os.environ["TUILLM_HOME"] = str(place / "home")
    try:
        run = start_run(
            build_train(
                dict(
                    corpus=str(book),
                    preset="nano",
                    tokenizer="char",
                    max_steps=10_000_000,
                    dtype="float32",
                    sample_tokens=8,
                    eval_interval=1_000_000,
                )
            )
        )
    finally:
        os.environ.pop("TUILLM_HOME")
        if before is not None:
            os.environ["TUILLM_HOME"] = before
    process = processes._started.pop()
    yield place / "home"
    process.kill()
    process.wait()
    assert run.path.exists()


@pytest.fixture
def still(worker, monkeypatch):
    """The real run as the last test left it, which mostly is paused."""
    monkeypatch.setenv("TUILLM_HOME", str(worker))
    return Run("book-1", worker / "runs" / "book-1")


@pytest.fixture
def live(still):
    """The real run, going; paused when the test is over."""
    still.request("resume")
    yield still
    still.request("pause")


async def view_of(pilot, run):
    """Open the live view of a run."""
    await until(pilot, lambda: any(each.id == run.id for each in pilot.app.runs))
    pilot.app.open_run(run.id)
    screen = await opened(pilot, RunScreen)
    await reached(pilot, run.id, "running", "paused", "finished", "stopped", "failed", "lost")
    return screen


@piloted()
async def test_all_panels_live(app, pilot, live):
    """Chart, figures, samples and log of a going run fill and keep up with it."""
    screen = await view_of(pilot, live)
    await reached(pilot, live.id, "running")
    chart = screen.query_one(Chart)
    before = await until(pilot, lambda: points(chart).get("train loss", 0))
    await until(pilot, lambda: points(chart)["train loss"] > before + 5)
    figures = (
        "throughput",
        "tokens/s",
        "learning rate",
        "gradient norm",
        "MFU",
        "ETA",
        "epoch",
        "CPU",
        "memory",
        "cores",
    )
    text = await shown(pilot, "● running", "step", "left", *figures)
    assert "69.4k parameters" in text
    assert points(chart)["train loss"] <= len(read_rows(live.metrics)[0])


@piloted()
async def test_pausing_and_going_on(app, pilot, live):
    """`p` pauses and lets go on, from the view as from the list; the toast says what was asked."""
    await view_of(pilot, live)
    await reached(pilot, live.id, "running")
    await pilot.press("p")
    assert await told(pilot, "asked book-1 to pause")
    paused = await reached(pilot, live.id, "paused")
    await shown(pilot, "‖ paused", "‖ book-1 paused")
    steps = len(read_rows(live.metrics)[0])
    assert steps == paused.status.step
    await pilot.press("escape")
    await opened(pilot, RunsScreen)
    await pilot.press("p")
    assert await told(pilot, "asked book-1 to go on")
    await reached(pilot, live.id, "running")
    await until(pilot, lambda: len(read_rows(live.metrics)[0]) > steps)


def test_a_run_goes_on_without_the_dashboard(live):
    """Quitting asks nothing and ends nothing; the next dashboard has the run and steers it."""

    async def leaving(app, pilot):
        await view_of(pilot, live)
        await reached(pilot, live.id, "running")
        await pilot.press("q")
        await until(pilot, lambda: app._exit)

    async def coming_back(app, pilot):
        await until(pilot, lambda: len(read_rows(live.metrics)[0]) > steps)
        await pilot.press("3")
        await reached(pilot, live.id, "running")
        await pilot.press("p")
        await reached(pilot, live.id, "paused")

    use(leaving)
    steps = len(read_rows(live.metrics)[0])
    use(coming_back)


@piloted()
async def test_evaluating_and_sampling_now(app, pilot, live):
    """`e` brings a point of validation loss, `a` a sample; the samples can be stepped through."""
    screen = await view_of(pilot, live)
    await reached(pilot, live.id, "running")
    chart, samples = screen.query_one(Chart), screen.query_one(Samples)
    known = points(chart).get("validation loss", 0)
    await pilot.press("e")
    assert await told(pilot, "asked book-1 to evaluate")
    await until(pilot, lambda: points(chart)["validation loss"] == known + 1)
    await until(pilot, lambda: len(samples._samples) >= 1)
    for _ in range(2):
        count = len(samples._samples)
        await pilot.press("a")
        await until(pilot, lambda count=count: len(samples._samples) == count + 1)
    assert await told(pilot, "asked book-1 to sample")

    steps = [sample.step for sample in samples._samples]
    assert steps == sorted(steps) and len(steps) >= 3
    samples.focus()
    await until(pilot, lambda: samples.has_focus)
    await shown(pilot, f"sample at step {steps[-1]:,} · newest")
    await pilot.press("[")
    assert samples.shown.step == steps[-2]
    await shown(pilot, f"sample at step {steps[-2]:,} · {len(steps) - 1} of {len(steps)}")
    await pilot.press("{")
    assert samples.shown.step == steps[0]
    await pilot.press("[", "]")
    assert samples.shown.step == steps[1]
    await pilot.press("a")
    await until(pilot, lambda: len(samples._samples) == len(steps) + 1)
    assert samples.shown.step == steps[1], "who steps back stays there"
    await pilot.press("}")
    assert samples.shown.step == samples._samples[-1].step


@piloted()
async def test_extending_a_going_run(app, pilot, live):
    """`E` asks for steps, checks them as one types, and the run takes that many more."""
    await view_of(pilot, live)
    before = (await reached(pilot, live.id, "running")).status.extended_steps
    await pilot.press("E")
    screen = await opened(pilot, Ask)
    line = screen.query_one(Input)
    for wrong in ("", "x", "0", "-3", "1.5"):
        line.value = wrong
        await pilot.press("enter")
        assert app.screen is screen
    await shown(pilot, "no number of steps")
    line.value = "1,500"
    await pilot.press("enter")
    assert await told(pilot, "asked book-1 to take 1,500 steps more")
    await until(pilot, lambda: live.status().extended_steps == before + 1500)


@piloted()
async def test_the_axis_and_the_chart_keys(app, pilot, still):
    """`X` goes from steps to time to epochs; log axis, smoothing, zoom and cursor work live."""
    screen = await view_of(pilot, still)
    chart = screen.query_one(Chart)
    await until(pilot, lambda: points(chart).get("train loss", 0) > 5)
    bottom = chart.region.bottom - 2
    for name in ("time", "epoch", "step"):
        await pilot.press("X")
        await until(pilot, lambda name=name: name in text_of(app).splitlines()[bottom])
    await pilot.press("l", "s", "plus", "left", "left", "shift+left", "end", "home")
    assert chart.logarithmic and chart.zoomed and chart.cursor is not None
    await pilot.press("escape")
    assert chart.cursor is None and app.screen is screen, "the first Escape is the chart's"
    await pilot.press("0", "l")
    assert not chart.zoomed and not chart.logarithmic
    await pilot.press("escape")
    await opened(pilot, RunsScreen)


@both_sizes
def test_one_panel_at_a_time_where_there_is_no_room(still, size):
    """Tab goes from panel to panel; at 80x24 only that one is there, at 120x40 all four."""

    async def scenario(app, pilot):
        screen = await view_of(pilot, still)
        narrow = size == (80, 24)
        order = []
        for _ in range(5):
            order.append(type(screen.focused))
            await until(
                pilot,
                lambda: (
                    [kind for kind in PANELS if screen.query_one(kind).region.area]
                    == ([order[-1]] if narrow else list(PANELS))
                ),
            )
            await pilot.press("tab")
        assert order == [*PANELS, Chart]
        await pilot.press("shift+tab", "shift+tab")
        assert isinstance(screen.focused, LogTail)
        if narrow:
            await shown(pilot, "chart   figures   samples   log")
        await until(pilot, lambda: all(len(line) <= size[0] for line in text_of(app).splitlines()))

    use(scenario, size)


@piloted()
async def test_finding_in_the_log(app, pilot, still):
    """`/` marks a text whatever its case, n and N go round, and what is not there is said."""
    log = still.log
    with log.open("a") as file:
        file.write("".join(f"line {number} of the Salt road\n" for number in range(200)))
    screen = await view_of(pilot, still)
    tail = screen.query_one(LogTail)
    await until(pilot, lambda: len(tail.lines) >= 200)
    assert tail.scroll_offset.y == tail.max_scroll_y, "the newest line is in sight"
    tail.focus()
    await until(pilot, lambda: tail.has_focus)

    async def find(text):
        await pilot.press("/")
        (await opened(pilot, Ask)).query_one(Input).value = text
        await pilot.press("enter")
        await opened(pilot, RunScreen)

    await find("LINE 17 of")
    await shown(pilot, "log · 1 of 1", "line 17 of the Salt")
    await find("salt road")
    title = await until(
        pilot, lambda: tail.border_title.startswith("log · 2") and (tail.border_title)
    )
    total = int(title.split()[-1])
    await pilot.press("n")
    assert tail.border_title == f"log · 1 of {total}", "after the last comes the first"
    await shown(pilot, "line 0 of the Salt")
    await pilot.press("N", "N")
    assert tail.border_title == f"log · {total - 1} of {total}"
    await find("(no such [text")
    await shown(pilot, "log · not found")
    await pilot.press("n", "G")
    with log.open("a") as file:
        file.write("the newest\n")
    await shown(pilot, "the newest")
    await find("")
    assert tail.border_title == "log"
    await pilot.press("/", "escape")
    assert isinstance(app.screen, RunScreen) and not toasts(app)
