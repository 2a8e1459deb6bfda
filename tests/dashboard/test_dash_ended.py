"""Runs that ended, and how they go on: killed, stopped, failed, finished. Real workers only."""

import os
import signal
import time
from shutil import rmtree

import pytest
from dashboard.furnished import run as write_run
from dashboard.pilot import (
    entry,
    opened,
    paste,
    piloted,
    points,
    reached,
    rows,
    shown,
    text_of,
    told,
    until,
)
from textual.widgets import Input

from tuillm.dashboard.screens.dialogs import Ask
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.run_head import RunHead
from tuillm.store.jsonl import read_rows
from tuillm.store.registry import get_model
from tuillm.store.run_folder import metric_rows

pytestmark = pytest.mark.slow


async def view_of(pilot, run):
    """Open the live view of a run by its row in the list."""
    await pilot.press("3")
    await until(pilot, lambda: run.id in rows(pilot.app))
    pilot.app.screen.query_one("#runs").move_to(run.id)
    await pilot.press("enter")
    return await opened(pilot, RunScreen)


@piloted()
async def test_a_killed_run_is_lost_and_resumed(app, pilot, start):
    """After SIGKILL a run is lost within 15 s, R takes it up at its checkpoint; stopped, again."""
    run = start()
    screen = await view_of(pilot, run)
    await reached(pilot, run.id, "running")
    await pilot.press("p")
    saved = (await reached(pilot, run.id, "paused")).status.step
    await pilot.press("p")
    await until(pilot, lambda: len(read_rows(run.metrics)[0]) > saved)
    os.kill(run.status().pid, signal.SIGKILL)
    begin = time.monotonic()
    await reached(pilot, run.id, "lost")
    await shown(pilot, "? lost", "its process is gone", "R resumes it")
    assert time.monotonic() - begin < 15
    lost = len(read_rows(run.metrics)[0])
    await pilot.press("p")
    assert await told(pilot, "cannot pause book-1: it is lost (R takes it up again)")

    await pilot.press("R")
    assert await told(pilot, f"book-1 goes on from step {saved:,}")
    await reached(pilot, run.id, "running")
    await until(pilot, lambda: len(read_rows(run.metrics)[0]) > lost + 5)
    chart = screen.query_one(Chart)
    await until(pilot, lambda: [mark.kind for mark in chart._marks][:1] == ["resumed"])
    assert [mark.x for mark in chart._marks][:1] in ([saved], [saved + 1])
    steps = [row["step"] for row in metric_rows(run)]
    assert steps == list(range(1, len(steps) + 1)), "no step is lost or counted twice"

    await pilot.press("x")
    stopped = await reached(pilot, run.id, "stopped")
    await shown(pilot, "■ stopped", "model book", "R resumes it")
    assert get_model("book").card.run == run.id
    await pilot.press("R")
    assert await told(pilot, f"book-1 goes on from step {stopped.status.step:,}")
    await reached(pilot, run.id, "preparing", "running")


@piloted()
async def test_a_failed_run_is_restarted(app, pilot, start, book):
    """A run that failed says why and what to do; R begins it anew when that was mended."""
    run = start(corpus=str(book.with_name("late.txt")))
    await pilot.press("3")
    await reached(pilot, run.id, "failed")
    await shown(pilot, "✗ failed", "does not exist")
    await view_of(pilot, run)
    text = await shown(pilot, "✗ failed", "R resumes it", "failed: ")
    assert "Traceback" not in text
    book.rename(book.with_name("late.txt"))
    await pilot.press("R")
    assert await told(pilot, f"{run.id} left no checkpoint and begins anew")
    await reached(pilot, run.id, "running")
    await shown(pilot, "● running")
    assert entry(app, run.id).status.error is None


@piloted()
async def test_a_finished_run_is_extended(app, pilot, grown):
    """`E` lets a finished run take more steps from its last checkpoint; its model gets better."""
    before = get_model("book").card
    screen = await view_of(pilot, grown)
    await shown(pilot, "✓ finished", "80 steps")
    await pilot.press("E")
    (await opened(pilot, Ask)).query_one(Input).value = ""
    await paste(pilot, "40")
    await pilot.press("enter")
    assert await told(pilot, "bpe-1 goes on from step 80")
    await until(pilot, lambda: grown.status().step == 120)
    finished = await reached(pilot, grown.id, "finished")
    assert (finished.status.extended_steps, finished.status.error) == (40, None)
    await until(pilot, lambda: points(screen.query_one(Chart))["train loss"] == 120)
    model = get_model(finished.status.model)
    assert model.card.run == grown.id and model.card.val_loss < before.val_loss
    await shown(pilot, "✓ finished", "120 steps")


@piloted()
async def test_a_run_deleted_under_its_open_view(app, pilot, house):
    """Whoever looks at a run that others delete comes back to the list, wherever they are then."""
    for where in ("the view", "a question over it", "another place"):
        run_id = app.runs[0].id
        app.open_run(run_id)
        await opened(pilot, RunScreen)
        if where == "a question over it":
            await pilot.press("E")
            await opened(pilot, Ask)
        elif where == "another place":
            await pilot.press("1")
        rmtree(house / "runs" / run_id)
        await until(pilot, lambda run_id=run_id: not entry(app, run_id))
        if where == "a question over it":
            assert isinstance(app.screen, Ask), "a question is not closed under the person"
            await pilot.press("escape")
        elif where == "another place":
            assert app.current_mode == "models"
            await pilot.press("3")
        await opened(pilot, RunsScreen)
        assert run_id not in rows(app) and run_id not in text_of(app)


@piloted()
async def test_the_view_of_a_run_that_was_just_started(app, pilot, house):
    """A view that opens before the dashboard has seen its run stays, and fills when it has."""
    look, app.refresh_snapshot = app.refresh_snapshot, lambda: None
    await until(pilot, lambda: not app._looking)
    write_run(house, "new-1", 100, 1)
    assert not entry(app, "new-1")
    app.open_run("new-1")
    screen = await opened(pilot, RunScreen)
    await until(pilot, lambda: points(screen.query_one(Chart)).get("train loss") == 100)
    assert app.screen is screen
    look()
    await shown(pilot, "new-1", "✓ finished")
    assert app.screen is screen


@piloted()
async def test_a_fine_tuned_runs_view_tells_before_and_after(app, pilot, house):
    """Head and figures show what the model knew before; for a run from nothing there is no such."""
    write_run(
        house, "tuned-1", 100, 1, before_loss=3.9, before_bits_per_byte=3.456, bits_per_byte=2.345
    )
    write_run(house, "plain-1", 100, 1)
    await until(pilot, lambda: entry(app, "tuned-1") and entry(app, "plain-1"))
    app.open_run("tuned-1")
    await shown(pilot, "3.456 → 2.345 bits per byte", "before        3.456")
    await pilot.press("escape")
    await opened(pilot, RunsScreen)
    app.open_run("plain-1")
    await opened(pilot, RunScreen)
    await shown(pilot, "plain-1", "bits per byte")
    assert "→" not in str(app.screen.query_one(RunHead).render())
    assert "before " not in text_of(app)
