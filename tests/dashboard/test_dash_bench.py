"""What `tuillm bench` has kept, as bars and a history: of damaged files, too."""

import json
import time

import pytest
from dashboard.pilot import both_sizes, opened, piloted, points, shown, text_of, until, use
from rich.cells import cell_len

from tuillm.bench.bench_history import keep, kept_runs
from tuillm.bench.bench_record import Measurement
from tuillm.dashboard.bench_board import boards_of
from tuillm.dashboard.screens.benchmarks import BenchmarksScreen
from tuillm.dashboard.widgets.bench_bars import bar_lines
from tuillm.dashboard.widgets.chart import Chart


def measured(measure, program, case, value, unit="tokens/s", of_limit=None, threads=2):
    return dict(
        measure=measure,
        program=program,
        case=case,
        threads=threads,
        unit=unit,
        value=value,
        slow=value,
        fast=value,
        of_limit=of_limit,
        against=None,
    )


def kept(model, days, *results):
    """Keep a run of some days ago."""
    keep(
        dict(
            time=time.time() - 86_400 * days - 5,
            fingerprint="A processor, 2 threads",
            model=model,
            tokens=32,
            results=list(results),
        )
    )


@pytest.fixture
def history(home):
    """Three runs of one model and an older one of another."""
    kept("older", 9, measured("decode", "tuillm", "float32", 7.0))
    for days, rate in ((3, 50.0), (2, 60.0)):
        kept(
            "gpt2's shape",
            days,
            measured("decode", "llama.cpp", "float32", rate / 2),
            measured("decode", "tuillm", "float32", rate, of_limit=0.5),
            measured("decode", "tuillm", "int8", 4 * rate),
        )
    kept("gpt2's shape", 1, measured("start-up", "tuillm", "list", 0.25, "s"))


def test_the_newest_figure_of_each_and_what_was_before(history):
    """A run that measures something else leaves the others as they were."""
    first, second = boards_of(kept_runs())
    assert (first.model, second.model) == ("gpt2's shape", "older")
    assert [(each.program, each.case, each.value) for each in first.newest] == [
        ("tuillm", "float32", 60.0),
        ("tuillm", "int8", 240.0),
        ("llama.cpp", "float32", 30.0),
        ("tuillm", "list", 0.25),
    ]
    assert first.history(first.newest[2]) == {
        "llama.cpp": ([1, 2], [25.0, 30.0]),
        "tuillm": ([1, 2], [50.0, 60.0]),
    }
    assert first.history(first.newest[3]) == {"tuillm": ([1], [0.25])}


@pytest.mark.parametrize("width", [30, 74, 116])
def test_bars_are_as_long_as_their_values(width):
    """The longest fills its room; the mark stands where the limit is; no line is too long."""
    rows = [
        Measurement("decode", "tuillm", "float32", 2, "tokens/s", 50, 50, 50, 0.5),
        Measurement("decode", "a\x1b[31m name without end", "x" * 99, 1, "tokens/s", 100, 100, 100),
    ]
    colors = dict.fromkeys(("primary", "secondary", "accent", "muted"), "#ffffff")
    lines = [line.plain for line, _ in bar_lines(rows, width, colors, 1)]
    assert [index for _, index in bar_lines(rows, width, colors, 1)] == [None, 0, 1]
    assert all(cell_len(line) <= width and "\x1b" not in line for line in lines)
    assert lines[2].startswith("› ")
    if width > 70:
        assert lines[1].rstrip().endswith("┃") and len(lines[1].rstrip()) == width
        assert lines[2].count("━") in (2 * lines[1].count("━") + each for each in (-1, 0, 1))


@both_sizes
def test_bars_and_their_history(history, size):
    """`b` shows the newest model; the cursor chooses whose history stands below; `m` another."""

    async def scenario(app, pilot):
        await pilot.press("b")
        screen = await opened(pilot, BenchmarksScreen)
        text = await shown(pilot, "gpt2's shape", "60.0", "history of decoding, float32")
        assert "A processor, 2 threads" in text and "3 runs kept" in text and "┃" in text
        chart = screen.query_one(Chart)
        await until(pilot, lambda: points(chart) == {"tuillm": 2, "llama.cpp": 2})
        await pilot.press("down")
        await shown(pilot, "history of decoding, int8")
        await until(pilot, lambda: points(chart) == {"tuillm": 2})
        await pilot.press("end")
        await shown(pilot, "start-up of the process", "0.250", "history of start-up")
        await pilot.press("m")
        await shown(pilot, "older", "7.0", "model 2 of 2")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, BenchmarksScreen))

    use(scenario, size)


@piloted(size=(80, 24))
async def test_before_anything_was_measured(app, pilot):
    """One reads what to type."""
    await pilot.press("b")
    text = await shown(pilot, "Nothing has been measured", "tuillm bench --all")
    assert "Next model" not in text


def test_a_damaged_history_shows_what_is_whole(history, home):
    """Names that act on a terminal, measures of tomorrow, numbers that are none."""
    with open(home / "bench.jsonl", "a", encoding="utf-8") as file:
        file.write("{\n")
        strange = measured("decode", "\x1b]0;evil\x07", "float32", 5.0)
        rows = [strange, measured("telepathy", "tuillm", "x", 1.0), {"value": "many"}]
        whole = dict(time=time.time(), fingerprint="[red]", model="[/]", tokens=1, results=rows)
        file.write(json.dumps(whole) + "\n")

    async def scenario(app, pilot):
        await pilot.press("b")
        text = await shown(pilot, "[/]", "[red]", "evil", "5.0", "model 1 of 3")
        assert "telepathy" not in text and "\x1b" not in text
        await pilot.press("m")
        await shown(pilot, "gpt2's shape")
        assert "evil" not in text_of(app)

    use(scenario)
