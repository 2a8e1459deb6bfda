"""The list of runs: states, details, marks, several runs over each other, and deleting one."""

import json
import shutil
from typing import get_args

import pytest
from dashboard.furnished import going, run
from dashboard.pilot import (
    entry,
    opened,
    piloted,
    points,
    reached,
    rows,
    shown,
    text_of,
    toasts,
    told,
    until,
)
from textual.widgets import Static

from tuillm.dashboard.screens.compare_runs import CompareRunsScreen, Differences, different_settings
from tuillm.dashboard.screens.dialogs import Confirm
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.screens.train import TrainScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.picture import line_sample
from tuillm.dashboard.widgets.state import STATE_ROLES, state_words
from tuillm.dashboard.widgets.table import EntryTable
from tuillm.store.run_folder import list_runs
from tuillm.store.run_status import State

pytestmark = pytest.mark.slow

NEWEST_FIRST = ["salt-road-3", "salt-road-2", "letters-1", "salt-road-1", "tang-poems-1", "demo-1"]


async def list_of(pilot):
    """Go to the list of runs and return its table."""
    await pilot.press("3")
    screen = await opened(pilot, RunsScreen)
    return screen.query_one(EntryTable)


def differences(app):
    """The table of differences: what is in each row, by its name."""
    table = app.screen.query_one(Differences).query_one(Static).content
    columns = [list(column.cells) for column in table.columns]
    return {
        str(cells[0]): [str(cell) for cell in cells[1:]] for cells in zip(*columns, strict=True)
    }


@piloted(size=(120, 60))
async def test_runs_are_listed_with_their_state(app, pilot, house):
    """The newest run is on top; a run whose process is gone is lost; each state has a sign."""
    table = await list_of(pilot)
    assert rows(app) == NEWEST_FIRST
    states = [each.status.state for each in table.rows]
    assert states == ["finished", "stopped", "finished", "failed", "lost", "finished"]
    text = await shown(pilot, "✓ finished", "■ stopped", "✗ failed", "? lost")
    assert text.count("✓ finished") == 3
    going(house)
    await reached(pilot, "salt-road-4", "running")
    await shown(pilot, "● running", "● salt-road-4 58%")
    assert rows(app)[0] == "salt-road-4"
    every = get_args(State)
    signs = {state_words(state)[0] for state in every}
    assert len(signs) == len(every) == len(STATE_ROLES), "states do without colour"


@piloted(size=(120, 30))
async def test_the_keys_at_the_bottom_fit_the_run(app, pilot, house):
    """An ended run offers its chat or what mends it, a going one pause and stop."""
    await list_of(pilot)
    await pilot.press("slash", *"stopped", "enter")
    await shown(pilot, "R Resume")
    await pilot.press("escape", "slash", *"finished", "enter")
    text = await shown(pilot, "c Chat", "E Extend")
    assert "p Pause" not in text and "x Stop" not in text
    await pilot.press("escape")
    going(house)
    await reached(pilot, "salt-road-4", "running")
    app.screen.query_one(EntryTable).move_to("salt-road-4")
    text = await shown(pilot, "p Pause", "x Stop")
    assert "E Extend" not in text
    bottom = text.splitlines()[-1]
    assert (
        sum(bottom.count(key) for key in ("Pause", "Stop", "Overlay", "Mark", "Help", "Palette"))
        == 6
    )


@piloted(size=(120, 30))
async def test_coming_back_from_a_run(app, pilot, house):
    """Behind the view of a run the cursor stands on that very run."""
    table = await list_of(pilot)
    await pilot.press("g")
    app.open_run("letters-1")
    await opened(pilot, RunScreen)
    await pilot.press("escape")
    await until(pilot, lambda: app.screen.query_one(EntryTable).current.id == "letters-1")
    assert table.current.id == "letters-1"


@piloted(size=(120, 30))
async def test_a_filter_that_nothing_matches(app, pilot, house):
    """The list says so, and Escape shows all again."""
    await list_of(pilot)
    await pilot.press("slash", *"zzz")
    await shown(pilot, "Nothing matches. Escape shows all again.")
    await pilot.press("escape")
    await until(pilot, lambda: rows(app) == NEWEST_FIRST)


@piloted(size=(120, 60))
async def test_the_details_of_a_run(app, pilot, house):
    """How it stands, what it was set to, how it writes; why it failed and what to do."""
    await list_of(pilot)
    text = await shown(pilot, "What it wrote at step")
    for part in ("finished", "1,200", "salt-road.txt", "tiny", "The ferry came"):
        assert part in text, part
    await pilot.press("j")
    text = await shown(pilot, "0.2")
    assert "seed" in text and "dropout" in text, "what is not as in the preset is shown"
    await pilot.press("j", "j")
    await shown(pilot, "no space left to write", "free some space")


@piloted(size=(80, 24))
async def test_the_list_in_a_narrow_window(app, pilot, house):
    """At 80x24 name, state and quality are there; `i` shows the details."""
    await list_of(pilot)
    text = await shown(pilot, "✗ failed", "bits per byte")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not app.screen.query_one("#beside").display
    await pilot.press("j", "i")
    await shown(pilot, "What it wrote at step")


@piloted()
async def test_an_empty_list_says_how_to_start(app, pilot):
    """Without runs the list names the key to the form, and keys do no harm."""
    await list_of(pilot)
    await shown(pilot, "No runs yet.", "Press  2  to start one")
    await pilot.press(*"pxReaEdcosSjkgGi/", "escape", "space", "enter")
    assert isinstance(app.screen, RunsScreen)
    assert toasts(app) == ["0 runs marked (mark two or more with Space, then press o)"]
    await pilot.press("2")
    await opened(pilot, TrainScreen)


@piloted()
async def test_filtering_runs(app, pilot, house):
    """`/` filters the runs by any cell, states too."""
    await list_of(pilot)
    await pilot.press("/", *"stopped")
    await until(pilot, lambda: rows(app) == ["salt-road-2"])
    await pilot.press("escape")
    await until(pilot, lambda: rows(app) == NEWEST_FIRST)


@piloted(size=(120, 60))
async def test_two_runs_over_each_other(app, pilot, house):
    """Space marks, `o` draws both runs, and the table names exactly what differs between them."""
    table = await list_of(pilot)
    await pilot.press("g", "space", "space")
    assert table.marked == {"salt-road-3", "salt-road-2"}
    assert table.current.id == "letters-1"
    await shown(pilot, "● salt-road-3", "● salt-road-2")
    await pilot.press("o")
    screen = await opened(pilot, CompareRunsScreen)
    chart = screen.query_one(Chart)
    await until(pilot, lambda: points(chart) == {"salt-road-3": 24, "salt-road-2": 24})
    found = differences(app)
    settings = list(found)[1:3]
    assert settings == ["dropout", "seed"]
    assert found["dropout"] == ["auto", "0.2"] and found["seed"] == ["1337", "7"]
    assert [name.split()[-1] for name in found[""]] == ["salt-road-3", "salt-road-2"]
    assert len({name.split()[0] for name in found[""]}) == 2, "told apart without colours"
    assert found["state"] == ["✓ finished", "■ stopped"] and found["steps"] == ["1,200", "1,200"]
    await shown(pilot, "dropout", "salt-road-3", "salt-road-2")

    await pilot.press("m", "m")
    await until(pilot, lambda: points(chart) == {"salt-road-3": 1200, "salt-road-2": 1200})
    for label in ("time", "epoch", "step"):
        await pilot.press("X")
        await until(
            pilot,
            lambda label=label: (
                label in text_of(app).splitlines()[chart.region.y :][chart.region.height - 2]
            ),
        )
    await pilot.press("tab")
    assert isinstance(screen.focused, Differences)
    await pilot.press("escape")
    await opened(pilot, RunsScreen)
    assert table.marked == {"salt-road-3", "salt-road-2"}, "marks stay for the next look"
    await pilot.press("k", "space")
    assert table.marked == {"salt-road-3"}


@piloted()
async def test_how_many_runs_can_be_overlaid(app, pilot, house):
    """One run gets a toast instead of a screen; seven are drawn, told apart by colour and dash."""
    run(house, "more-1", 50, 10)
    await list_of(pilot)
    await until(pilot, lambda: len(rows(app)) == 7)
    await pilot.press("g", "space", "o")
    assert await told(pilot, "1 run marked (mark two or more with Space, then press o)")
    await pilot.press(*["space"] * 6, "o")
    screen = await opened(pilot, CompareRunsScreen)
    await until(pilot, lambda: len(points(screen.query_one(Chart))) == 7)
    drawn = {
        (curve.role, line_sample(n)) for n, curve in enumerate(screen.query_one(Chart)._curves)
    }
    assert len(drawn) == 7


@piloted()
async def test_an_overlay_of_a_run_that_is_removed(app, pilot, house):
    """Runs that others delete leave the overlay; the rest of it stays."""
    await list_of(pilot)
    await pilot.press("g", "space", "space", "space", "o")
    screen = await opened(pilot, CompareRunsScreen)
    await until(pilot, lambda: len(points(screen.query_one(Chart))) == 3)
    shutil.rmtree(house / "runs" / "salt-road-2")
    left = ["salt-road-3", "letters-1"]
    await until(pilot, lambda: [name.split()[-1] for name in differences(app)[""]] == left)
    await until(pilot, lambda: set(points(screen.query_one(Chart))) == {"salt-road-3", "letters-1"})
    shutil.rmtree(house / "runs")
    await until(pilot, lambda: not app.runs)
    await pilot.press("m", "X", "l", "escape")
    await opened(pilot, RunsScreen)


@piloted()
async def test_settings_of_damaged_runs(app, pilot, house):
    """A run whose settings cannot be read shows '?' for each of them and can still be overlaid."""
    (house / "runs" / "salt-road-3" / "run.json").write_text("{")
    await until(pilot, lambda: entry(app, "salt-road-3").config is None)
    both = [entry(app, "salt-road-3"), entry(app, "salt-road-2")]
    found = dict(different_settings(both))
    assert found["dropout"] == ["?", "0.2"] and found["corpus"] == ["?", "'salt-road.txt'"]
    assert different_settings(both[1:] * 2) == []
    await list_of(pilot)
    await pilot.press("g", "space", "space", "o")
    await opened(pilot, CompareRunsScreen)
    await shown(pilot, "corpus")


@piloted()
async def test_deleting_a_run(app, pilot, house):
    """`d` asks; y removes the folder and leaves the model, from the list and from its screen."""
    table = await list_of(pilot)
    await pilot.press("g", "d")
    await opened(pilot, Confirm)
    await shown(pilot, "Delete the run salt-road-3?", "published stays")
    await pilot.press("escape")
    assert len(list_runs()) == 6
    await pilot.press("d", "y")
    assert await told(pilot, "deleted salt-road-3")
    await until(pilot, lambda: rows(app) == NEWEST_FIRST[1:])
    assert table.current.id == "salt-road-2"
    assert (house / "models" / "salt-road").is_dir()
    await pilot.press("enter")
    await opened(pilot, RunScreen)
    await pilot.press("d", "y")
    await opened(pilot, RunsScreen)
    await until(pilot, lambda: rows(app) == NEWEST_FIRST[2:])
    assert not (house / "runs" / "salt-road-2").exists()


@piloted()
async def test_a_going_run_is_not_deleted(app, pilot, house):
    """A run that is still going stays, with the key that stops it."""
    going(house)
    await list_of(pilot)
    await reached(pilot, "salt-road-4", "running")
    await pilot.press("g", "d")
    assert await told(pilot, "salt-road-4 is still going (x stops it)")
    assert isinstance(app.screen, RunsScreen)


@piloted()
async def test_what_an_ended_run_refuses(app, pilot, house):
    """Pausing, stopping and sampling need a going run; the toast names the key that helps."""
    await list_of(pilot)
    await pilot.press("g")
    for key, verb in (("p", "pause"), ("x", "stop"), ("e", "evaluate"), ("a", "sample from")):
        await pilot.press(key)
        assert await told(pilot, f"cannot {verb} salt-road-3: it is finished (E extends it)")
    await pilot.press("R")
    assert await told(pilot, "salt-road-3 is finished: nothing to resume (E extends it")
    await pilot.press("G", "k", "p")
    assert await told(pilot, "cannot pause tang-poems-1: it is lost (R takes it up again)")


@piloted()
async def test_a_run_whose_text_is_gone_or_changed(app, pilot, house, tmp_path, monkeypatch):
    """R says in a toast what is wrong with the text and what to type; the run stays as it is."""
    monkeypatch.chdir(tmp_path)
    last = house / "runs" / "tang-poems-1" / "last"
    last.mkdir()
    (last / "trainer.json").write_text(json.dumps({"step": 9, "corpus_sha256": "0" * 64}))
    await list_of(pilot)
    await pilot.press("G", "k", "R")
    assert await told(
        pilot,
        "the text of 'tang-poems-1' cannot be read: 唐诗三百首.txt does not",
        "(where it is now: tuillm runs resume tang-poems-1 --corpus PATH)",
    )
    (tmp_path / "唐诗三百首.txt").write_text("床前明月光，疑是地上霜。" * 100, encoding="utf-8")
    await pilot.press("R")
    text = await told(pilot, "唐诗三百首.txt has changed since 'tang-poems-1' began")
    assert "tuillm runs resume tang-poems-1 --changed-text" in text
    assert entry(app, "tang-poems-1").status.state == "lost"


@piloted()
async def test_a_run_that_has_just_gone(app, pilot, house):
    """Keys on a run that was deleted a moment ago end in toasts, not in a crash."""
    await list_of(pilot)
    app.refresh_snapshot = lambda: None  # the dashboard does not know yet
    for timer in list(app._timers):
        timer.pause()
    await pilot.press("G", "k")
    assert app.screen.target.id == "tang-poems-1"
    shutil.rmtree(house / "runs" / "tang-poems-1")
    await pilot.press("enter")
    assert await told(pilot, "no run named 'tang-poems-1'")
    await pilot.press("R")
    assert await told(pilot, "run.json is missing")
    assert isinstance(app.screen, RunsScreen) and not (house / "runs" / "tang-poems-1").exists()
