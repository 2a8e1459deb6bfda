"""The queue in the dashboard: a run is queued from the form, moved, started at once, taken out."""

import pytest
from dashboard.pilot import opened, piloted, reached, rows, shown, text_of, toasts, until
from textual.widgets import Button

from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.form import TrainForm
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.store.run_folder import get_run
from tuillm.store.run_queue import queued_runs

pytestmark = pytest.mark.slow


async def in_list(pilot, run_id):
    """Go to the list of runs and put the cursor on a run."""
    await pilot.press("3")
    screen = await opened(pilot, RunsScreen)
    await until(pilot, lambda: run_id in rows(pilot.app))
    screen.query_one(EntryTable).move_to(run_id)


@piloted(size=(120, 40))
async def test_a_run_is_queued_from_the_form(app, pilot, start, book):
    """Only behind others: without any, neither the key nor the button is there."""
    await pilot.press("2")
    screen = await opened(pilot, TrainScreen)
    assert not screen.query_one("#queue", Button).display
    first = start(name="first")
    await until(pilot, lambda: screen.query_one("#queue", Button).display)
    await shown(pilot, "Queue")
    screen.query_one(TrainForm)["corpus"].fill(str(book))
    screen.query_one(TrainForm)["name"].fill("second")
    await pilot.press("ctrl+y")
    await reached(pilot, "second-1", "queued")
    await shown(pilot, f"waits for {first.id}")
    assert any("is queued" in toast for toast in toasts(app))


@piloted(size=(120, 40))
async def test_the_queue_is_ordered_with_keys(app, pilot, start):
    """K and J move a run, R starts it, x takes it out; p says what there is to do."""
    from tuillm.store.workers.launch import start_run

    first = start(name="first")
    for name in ("second", "third"):
        config = first.config.model_copy(update={"name": name})
        start_run(config, queue=True)
        await reached(pilot, f"{name}-1", "queued")
    await in_list(pilot, "third-1")
    await shown(pilot, "… queued 2", "R Start now", "x Leave the queue")
    await pilot.press("K")
    await until(pilot, lambda: [run.id for run in queued_runs()] == ["third-1", "second-1"])
    await until(pilot, lambda: get_run("third-1").status().queue_position == 1)
    await pilot.press("J")
    await until(pilot, lambda: [run.id for run in queued_runs()] == ["second-1", "third-1"])
    await pilot.press("p")
    await shown(pilot, "has not begun")
    await pilot.press("x")
    await reached(pilot, "third-1", "stopped")
    await in_list(pilot, "second-1")
    await pilot.press("R")
    await until(pilot, lambda: get_run("second-1").status().state in ("preparing", "running"))
    assert "second-1" in text_of(app)
