"""Files as they should not be, under an open view: the dashboard stays and shows what it can."""

import json
import os
import shutil

import pytest
from dashboard.furnished import going
from dashboard.furnished import run as write_run
from dashboard.pilot import (
    metric_lines,
    opened,
    piloted,
    points,
    reached,
    rows,
    shown,
    text_of,
    told,
    until,
)

from tuillm.dashboard.screens.compare_runs import CompareRunsScreen
from tuillm.dashboard.screens.run import RunScreen
from tuillm.dashboard.screens.runs import RunsScreen
from tuillm.dashboard.widgets.chart import Chart
from tuillm.dashboard.widgets.log import LogTail
from tuillm.dashboard.widgets.samples import Samples
from tuillm.store.jsonl import Sample

pytestmark = pytest.mark.slow

NAN = '{"step": 1, "train_loss": NaN, "val_loss": NaN, "lr": NaN, "grad_norm": NaN, "mfu": NaN}\n'
INF = (
    '{"step": 2, "train_loss": Infinity, "val_loss": -Infinity, "tokens_per_sec": Infinity, '
    '"mfu": Infinity, "epoch": -Infinity, "elapsed": NaN}\n'
)
NULL = '{"step": 3, "train_loss": null, "val_loss": null, "mfu": null, "epoch": null, "lr": null}\n'
ODD = (
    '{"step": 4, "train_loss": "x", "val_loss": [1], "mfu": "y", "epoch": {}, "lr": "z", '
    '"tokens_per_sec": "fast", "grad_norm": []}\n'
)
HUGE = '{"step": 5, "train_loss": 1e300, "lr": 1e-300, "tokens_per_sec": 1e300, "epoch": 1e300}\n'
METRICS = {
    "no numbers": (NAN, 0),
    "infinities": (INF, 0),
    "nothing": (NULL, 0),
    "odd kinds": (ODD, 0),
    "huge": (HUGE, 0),
    "all of them": (NAN + INF + NULL + ODD + HUGE, 0),
    "empty": ("", 0),
    "a single point": (metric_lines([5]), 1),
    "torn": (metric_lines(range(1, 9))[:-9], 7),
    "garbage": ("\x00\x01 garbage\n[]\n7\n" + metric_lines([1, 2]), 2),
    "finite and not": (metric_lines(range(1, 6)) + NAN.replace("1,", "6,", 1), 5),
    "the same value": (metric_lines(range(1, 9), train_loss=2.0), 8),
}


@pytest.fixture
def one(home):
    """A run that ended, with its folder."""
    return write_run(home, "book-1", 100, 60)


@piloted()
async def test_metrics_of_every_kind_under_an_open_view(app, pilot, one):
    """NaN, infinities, one point, nothing, torn and damaged lines: what is finite is drawn."""
    app.open_run(one.id)
    screen = await opened(pilot, RunScreen)
    chart = screen.query_one(Chart)
    await until(pilot, lambda: points(chart).get("train loss") == 100)
    for name, (text, finite) in METRICS.items():
        one.metrics.unlink()
        await until(pilot, lambda: points(chart)["train loss"] == 0)
        one.metrics.write_text(text)
        whole = text.rfind("\n") + 1
        await until(pilot, lambda whole=whole: screen._follower._reader.offset == whole)
        await until(pilot, lambda finite=finite: points(chart)["train loss"] == finite)
        await pilot.press("l", "X", "s", "plus", "left", "0")
        if chart.cursor is not None:
            await pilot.press("escape")
        assert app.screen is screen and screen.focused is chart, name


@piloted()
async def test_metrics_that_shrink_and_grow(app, pilot, one):
    """A file that is cut short, replaced or removed is read anew, and followed from there."""
    app.open_run(one.id)
    chart = (await opened(pilot, RunScreen)).query_one(Chart)
    for count in (60, 5, 70, 1):
        one.metrics.write_text(metric_lines(range(1, count + 1)))
        await until(pilot, lambda count=count: points(chart).get("train loss") == count)
    line = metric_lines([2])
    with one.metrics.open("a") as file:
        file.write(line[:20])
        file.flush()
        await pilot.pause(0.3)
        assert points(chart)["train loss"] == 1
        file.write(line[20:])
    await until(pilot, lambda: points(chart)["train loss"] == 2)
    other = one.path / "other"
    other.write_text(metric_lines(range(1, 200), note="longer lines"))
    os.replace(other, one.metrics)
    await until(pilot, lambda: points(chart)["train loss"] == 199)
    with one.metrics.open("a") as file:
        file.write('{"resumed": 50}\n' + metric_lines(range(51, 61)))
    await until(pilot, lambda: points(chart)["train loss"] == 60)
    await until(pilot, lambda: "resumed" in [mark.kind for mark in chart._marks])


@piloted()
async def test_samples_and_logs_as_they_should_not_be(app, pilot, one):
    """Control characters are not drawn, damaged rows are passed over, missing files are empty."""
    one.samples.write_text(
        '{"step": 1, "text": "a\\u001b[2Jb\\u202e [/] [b]c"}\n{"step": "x"}\n7\n'
        '{"step": 2, "text": null}\n{"step": 3'
    )
    one.log.write_bytes(b"plain\n\x1b[31mred\x07\n\xff\xfe [/b] [x\ttab\nno end of line")
    app.open_run(one.id)
    screen = await opened(pilot, RunScreen)
    samples, log = screen.query_one(Samples), screen.query_one(LogTail)
    await until(pilot, lambda: len(log.lines) == 3)
    await shown(pilot, "a[2Jb [/] [b]c", "sample at step 1", "[31mred", "[/b] [x")
    assert samples._samples == [Sample(1, "a\x1b[2Jb\u202e [/] [b]c")]
    one.log.unlink()
    one.samples.unlink()
    await pilot.pause(0.6)
    one.samples.write_text('{"step": 9, "text": ""}\n')
    one.log.write_text("begun anew\n")
    await until(pilot, lambda: "begun anew" in log.lines)
    await until(pilot, lambda: samples.shown == Sample(9, ""))
    await shown(pilot, "(nothing)")


@piloted()
async def test_a_status_as_it_should_not_be(app, pilot, one):
    """A status that cannot be read is a lost run with the reason; a good one heals it."""
    good = (one.path / "status.json").read_text()
    app.open_run(one.id)
    await opened(pilot, RunScreen)
    await shown(pilot, "✓ finished")
    for bad in ("", "{", "[]", '{"state": "dancing"}', '{"step": "many"}', '{"progress": NaN}'):
        (one.path / "status.json").write_text(bad)
        await until(pilot, lambda: "✓ finished" not in text_of(app))
        assert isinstance(app.screen, RunScreen)
        (one.path / "status.json").write_text(good)
        await shown(pilot, "✓ finished")
    odd = json.loads(good) | {
        "progress": 7.5,
        "eta": 1e30,
        "step": 10**15,
        "bits_per_byte": -1e9,
        "epoch": 1e20,
        "elapsed": -5.0,
        "created": 1e18,
        "notes": ["[/]", "\x1b[2J"],
        "error": "[b]",
        "model": "[/x]",
    }
    (one.path / "status.json").write_text(json.dumps(odd))
    await pilot.press("escape")
    await opened(pilot, RunsScreen)
    await until(pilot, lambda: app.runs[0].status.step == 10**15)
    await pilot.press("1", "3")
    assert rows(app) == ["book-1"]


@piloted()
async def test_a_going_run_with_a_status_out_of_range(app, pilot, home):
    """Progress beyond 100 % and no numbers where there should be some do not break the head."""
    going(home)
    path = home / "runs" / "salt-road-4" / "status.json"
    entry = await reached(pilot, "salt-road-4", "running")
    app.open_run("salt-road-4")
    screen = await opened(pilot, RunScreen)
    for change in (
        {"progress": 3.0},
        {"progress": -1.0},
        {"progress": float("nan")},
        {"eta": float("inf")},
        {"eta": -5.0},
        {"eta": float("nan")},
        {"elapsed": float("nan")},
        {"epoch": float("inf")},
        {"tokens_per_sec": None},
        {"train_loss": float("nan"), "bits_per_byte": float("inf")},
        {"parameters": -1, "device": None, "dtype": None},
    ):
        values = json.loads(entry.status.model_dump_json()) | change
        new = path.with_suffix(".new")
        new.write_text(json.dumps(values))
        stamp = new.stat().st_ino
        os.replace(new, path)
        await until(pilot, lambda stamp=stamp: stamp in (app._snapshots[1]._read["salt-road-4"][0]))
        await pilot.pause(0.05)
        assert app.screen is screen, change
        app.switch_mode("models")
        app.switch_mode("runs")
    await pilot.press("escape")
    await opened(pilot, RunsScreen)


@piloted()
async def test_an_overlay_of_damaged_metrics(app, pilot, home):
    """Runs without a finite value stand in the overlay beside those that have some."""
    write_run(home, "good-1", 100, 60)
    write_run(home, "bad-1", 100, 30).metrics.write_text(NAN + INF)
    write_run(home, "empty-1", 100, 10).metrics.unlink()
    await pilot.press("3")
    await until(pilot, lambda: len(rows(app)) == 3)
    await pilot.press("g", "space", "space", "space", "o")
    chart = (await opened(pilot, CompareRunsScreen)).query_one(Chart)
    await until(pilot, lambda: points(chart).get("good-1") == 2)
    while "train loss" not in str(chart.border_title):
        await pilot.press("m")
    await pilot.press("l", "X", "X")
    await until(pilot, lambda: points(chart) == {"empty-1": 0, "bad-1": 0, "good-1": 100})


@piloted()
async def test_what_nobody_thought_of_is_said(app, pilot, house, tmp_path, monkeypatch):
    """An error that we did not foresee is a toast, and stands whole in a log; nothing ends."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "唐诗三百首.txt").write_text("床前明月光，疑是地上霜。" * 100, encoding="utf-8")
    (house / "runs" / "tang-poems-1" / "control").mkdir()
    await pilot.press("3", "G", "k")
    assert app.screen.target.id == "tang-poems-1"
    await pilot.press("R")
    text = await told(pilot, "the dashboard failed: ")
    assert str(house / "dashboard.log") in text
    assert "Traceback" in (house / "dashboard.log").read_text()
    await pilot.press("1")
    assert len(rows(app)) == 7


@piloted()
async def test_a_home_that_is_taken_away(app, pilot, house, tmp_path):
    """When the data directory goes, everything is empty; when it comes back, all is there."""
    app.open_run("salt-road-3")
    await opened(pilot, RunScreen)
    shutil.move(house, tmp_path / "elsewhere")
    await opened(pilot, RunsScreen)
    await shown(pilot, "No runs yet.")
    await pilot.press("1")
    await shown(pilot, "No models yet.")
    shutil.move(tmp_path / "elsewhere", house)
    await until(pilot, lambda: len(rows(app)) == 7)
    await pilot.press("3")
    await until(pilot, lambda: len(rows(app)) == 6)
