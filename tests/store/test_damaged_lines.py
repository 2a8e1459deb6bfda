"""Lines that cannot be true in a run's files: readers pass over them and go on with the next."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest

from tuillm.cli.live_view import LiveView
from tuillm.cli.watch import JsonLines, PlainRunView
from tuillm.config import TrainConfig
from tuillm.dashboard.metrics_history import History, MetricsReader
from tuillm.errors import UsageError
from tuillm.plotting import number
from tuillm.store.jsonl import Sample, read_metrics
from tuillm.store.process_id import this_process
from tuillm.store.run_control import ControlRequest, requests, steps_of
from tuillm.store.run_folder import create_run, metric_rows
from tuillm.units import count, duration, figure

NESTED = b'{"a":' * 1000 + b"1" + b"}" * 1000
DEEP = b"[" * 100_000
DIGITS = b"9" * 5000
ODD = [
    b"1" + b"0" * 400,
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"true",
    b'"7"',
    b"null",
    b"[]",
    b"{}",
    b"2.5",
    b'"\\ud800"',
]
DAMAGE = [
    NESTED,
    DEEP,
    b"\xff\xfe\x00",
    b"{",
    b"",
    b"[]",
    b"7",
    b'{"step": ' + DIGITS + b"}",
    b'{"request": ' + DIGITS + b"}",
    b"\x00" * 50,
]
GOOD: dict[str, Any] = {
    "step": 3,
    "train_loss": 2.5,
    "lr": 0.1,
    "grad_norm": 1.0,
    "tokens_per_sec": 10.0,
    "mfu": 0.1,
    "elapsed": 1.0,
    "eta": 2.0,
    "epoch": 0.1,
    "progress": 0.5,
    "val_loss": 2.0,
    "bits_per_byte": 1.5,
}


@pytest.fixture
def run():
    return create_run(TrainConfig(corpus=("book.txt",), max_steps=5), this_process())


def test_no_line_of_control_stops_the_reader(run):
    """Whatever stands in `control`, the requests after it are taken, and no other."""
    lines = DAMAGE + [b'{"request": %s}' % value for value in ODD]
    lines += [b'{"request": "extend", "steps": %s}' % value for value in ODD]
    run.control.write_bytes(b"\n".join([*lines, b""]))
    run.request("extend", steps=10**9)
    assert requests(run.control, 0)[0] == [ControlRequest("extend", 10**9)]
    run.control.unlink()
    run.control.mkdir()
    assert requests(run.control, 0)[0] == []


@pytest.mark.parametrize(
    "steps",
    [10**9 + 1, 10**400, 10**5000, 0, -1, 1.0, True, "5", [1]],
    ids=lambda steps: type(steps).__name__,
)
def test_a_run_is_extended_by_so_much_at_most(run, steps):
    """What cannot be a number of steps is refused in one line before it is written anywhere."""
    with pytest.raises(UsageError, match="cannot be extended by") as caught:
        run.request("extend", steps=steps)
    assert len(str(caught.value)) < 200 and not run.control.exists()


@pytest.mark.parametrize("text", ["9" * 10_000, "1" + "0" * 400, "1000000001", "0", "-3", "", "٣"])
def test_typed_steps_that_are_none(text):
    """The same at the prompt, however many digits were typed."""
    with pytest.raises(UsageError, match="is no number of steps") as caught:
        steps_of(text)
    assert len(str(caught.value)) < 200


@pytest.fixture
def damaged(run):
    """A run whose metrics hold damage of all kinds, with two good steps among it."""
    rows = [*DAMAGE, *(b'{"step": %s, "train_loss": 1}' % value for value in ODD)]
    for key in GOOD:
        if key != "step":
            rows += [
                json.dumps({**GOOD, key: None}).replace("null", value.decode()).encode()
                for value in ODD
            ]
            rows.append(json.dumps({name: GOOD[name] for name in GOOD if name != key}).encode())
    rows += [b'{"resumed": %s}' % value for value in ODD]
    last = json.dumps(GOOD | {"step": 4}).encode()
    run.metrics.write_bytes(b"\n".join([*rows, last, b""]))
    return run


def test_rows_of_metrics_can_be_calculated_with(damaged):
    """Of a damaged row only what is a finite number is left; a step that is none drops the row."""
    rows, _ = read_metrics(damaged.metrics)
    assert rows[-1] == GOOD | {"step": 4}
    for row in rows:
        assert type(row.get("step", row.get("resumed"))) is int
        figures = [value for key, value in dict[str, Any](row).items() if key in GOOD]
        assert sum(figures) < 1e300
    assert [row["step"] for row in metric_rows(damaged)] == [3, 4]


def test_no_row_of_metrics_stops_a_view(damaged):
    """Live view, plain lines and JSON lines show what is good."""
    rows, _ = read_metrics(damaged.metrics)
    printed = io.StringIO()
    with redirect_stdout(printed):
        for view in (PlainRunView(damaged), JsonLines(damaged), LiveView(damaged)):
            view.news(damaged.status(), rows, [Sample(1, "sample")])
            view.close()
    assert "step 4" in printed.getvalue() and '"step": 4' in printed.getvalue()


def test_the_steps_of_a_resumed_run_replace_the_older_ones(run):
    """The live view draws each step once, as it was taken last; so do all who read the rows."""
    steps = [dict(GOOD, step=step, train_loss=float(step)) for step in range(1, 9)]
    again = [dict(GOOD, step=step, train_loss=10.0 + step) for step in range(5, 7)]
    lines = [*steps, {"resumed": 4}, *again]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, _ = read_metrics(run.metrics)
    view = LiveView(run)
    with redirect_stdout(io.StringIO()):
        view.news(run.status(), rows, [])
        view.close()
    expected = [(step, float(step)) for step in range(1, 5)] + [(5, 15.0), (6, 16.0)]
    assert view._train == expected
    assert [(row["step"], row["train_loss"]) for row in metric_rows(run)] == expected


def test_no_row_of_metrics_stops_the_dashboard(damaged):
    """The history holds the good steps, and what the figures show can be shown."""
    history, feed = History(), MetricsReader(damaged.metrics)
    batch = feed.next()
    history.add(batch)
    assert list(history.column("step")) == [3, 4]
    assert history.best[1] == 2.0
    for last in (history.last, MetricsReader(damaged.metrics, 1).next().last or {}):
        for value in last.values():
            if isinstance(value, int | float):
                assert count(value) and duration(value) and figure(value) and number(value)


@pytest.mark.parametrize("value", [value for value in ODD if value not in (b"null",)])
def test_no_status_stops_a_reader(run, value):
    """A status whose values cannot be is lost and says so, or is one that can be shown."""
    fields = json.loads((run.path / "status.json").read_text())
    for key in fields:
        text = json.dumps(fields | {key: None}).replace(
            f'"{key}": null', f'"{key}": {value.decode()}'
        )
        (run.path / "status.json").write_text(text)
        status = run.status()
        assert status.state == "lost" or status.pid == fields["pid"]
        for name, each in status:
            if isinstance(each, int | float):
                assert f"{each:,}" and count(each) and duration(each) and figure(each), name
        json.dumps(run.as_json(), allow_nan=False)
