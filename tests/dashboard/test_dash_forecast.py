"""Beside the form: what a run will take, found by a real process; and what the start asks."""

import time

import pytest
from dashboard.furnished import going
from dashboard.pilot import opened, piloted, reached, shown, text_of, told, until, use
from textual.widgets import Static

from tuillm.dashboard.screens import train
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.forecast_panel import ForecastPanel
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.store.registry import get_model
from tuillm.store.run_folder import get_run
from tuillm.store.workers.forecast_process import Forecast, ForecastProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def processes(monkeypatch):
    """The forecasts that were begun, in their order; all are over at the end."""
    begun = []

    class Noted(ForecastProcess):
        def __init__(self, *given):
            super().__init__(*given)
            begun.append(self)

    monkeypatch.setattr(train, "ForecastProcess", Noted)
    yield begun
    for process in begun:
        process.cancel()


async def form_of(pilot):
    """Go to the form and return it."""
    await pilot.press("2")
    return (await opened(pilot, TrainScreen)).query_one(TrainForm)


def panel(app):
    """What stands in the forecast's panel, as far as it is in sight."""
    region = app.screen.query_one(ForecastPanel).region
    lines = text_of(app).splitlines()[region.y : region.bottom]
    return "\n".join(line[region.x : region.right].strip("▏│ ") for line in lines)


@piloted()
async def test_a_forecast_before_the_start(app, pilot, book, processes):
    """A moment after the text is named the panel fills: what the text tells, then real steps."""
    form = await form_of(pilot)
    form["preset"].fill("nano")
    form["tokenizer"].fill("char")
    await pilot.pause()
    assert not processes and "Name a text" in panel(app)
    form["corpus"].fill(str(book))
    await until(pilot, lambda: "reading the text" in panel(app))
    await until(pilot, lambda: "taking a few real steps" in panel(app) or "ms" in panel(app))
    await until(pilot, lambda: "tokens/s" in panel(app))
    found = panel(app)
    for part in (
        "How long",
        "a step",
        "steps   80",
        "parameters",
        "Memory",
        "are free",
        "32 tokens",
        "(char)",
        "an epoch",
        "held out",
    ):
        assert part in found, (part, found)
    assert len(processes) == 1, "the text was named once, so one process looked at it"
    form["corpus"].fill("")
    await until(pilot, lambda: "Name a text" in panel(app))

    board = app.screen.query_one(ForecastPanel)
    board.show(
        Forecast(
            stage="speed",
            bytes=30_000,
            tokenizer="bpe",
            vocab_size=512,
            train_tokens=9000,
            val_tokens=0,
            parameters=81_648,
            steps=80,
            memory_needed=10**9,
            memory_available=10**10,
            tokens_per_sec=2e4,
            step_seconds=1.5,
            seconds=4000.0,
            estimated=True,
            epochs=2.5,
            warnings=("it will learn the text by heart",),
            notes=("a note",),
        )
    )
    text = await shown(
        pilot, "estimated 1:06:40", "1.5 s", "1 GB of the 10 GB that are free", "· a note"
    )
    assert text.index("! it will learn") < text.index("How long"), "warnings stand first"
    assert "nothing" in text and "2.5" in text
    board.show(Forecast(skipped="it does not fit into memory"))
    await shown(pilot, "not measured: it does not fit")


def test_a_text_that_is_not_there(book, processes):
    """The forecast says what the run would fail with; what nobody waits for is ended at once."""

    async def scenario(app, pilot):
        form = await form_of(pilot)
        for end in ("b", "bo", "bok.txt"):
            form["corpus"].fill(str(book.with_name(end)))
            await pilot.pause()
        await until(pilot, lambda: "does not exist" in panel(app))
        assert "did you mean" in panel(app).replace("\n", " ")
        assert len(processes) == 1, "only the last text is looked at"
        form["corpus"].fill(str(book))
        await until(pilot, lambda: len(processes) == 2)
        form["corpus"].fill("")
        await until(pilot, lambda: "Name a text" in panel(app))
        assert processes[1]._process.poll() is not None
        form["corpus"].fill(str(book))
        await until(pilot, lambda: len(processes) == 3)
        assert processes[2]._process.poll() is None
        await pilot.press("ctrl+q", "y")
        begin.append(time.monotonic())

    begin = []
    use(scenario)
    assert time.monotonic() - begin[0] < 2, "leaving does not wait for a forecast"
    assert processes[2]._process.poll() is not None


@piloted()
async def test_a_name_that_is_taken(app, pilot, home, book, model, processes):
    """The form warns, the start asks; no keeps the old model, yes trains one in its place.

    While a run grows a model of that name, that one is named instead.
    """
    form = await form_of(pilot)
    form["preset"].fill("nano")
    form["tokenizer"].fill("char")
    form["max_steps"].fill("3")
    form["corpus"].fill(str(book))
    line = app.screen.query_one("#problem", Static)
    await until(pilot, lambda: "a model named 'book' is there" in str(line.content))
    await pilot.press("ctrl+r")
    await opened(pilot, Confirm)
    await shown(pilot, "Replace it?", "'book' is there")
    await pilot.press("n")
    await opened(pilot, TrainScreen)
    assert not app.runs and form["corpus"].text == str(book)

    going(home)
    await reached(pilot, "salt-road-4", "running")
    form["name"].fill("salt-road")
    await pilot.press("ctrl+r")
    assert await told(pilot, "run 'salt-road-4' is already growing 'salt-road'")
    form["name"].fill("")
    await pilot.pause()

    await pilot.press("ctrl+r")
    await opened(pilot, Confirm)
    await pilot.press("y")
    await opened(pilot, RunScreen)
    assert get_run("book-1").config.max_steps == 3
    finished = await reached(pilot, "book-1", "finished", "failed")
    assert finished.status.model == "book"
    assert get_model("book").card.tokenizer == "char"
