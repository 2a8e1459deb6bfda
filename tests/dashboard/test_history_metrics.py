"""The metrics of a run as they are followed: whole lines, resumes, damage, size."""

import json
import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest

from tuillm.dashboard.metrics_history import COLUMNS, History, MetricsReader, read_batch
from tuillm.errors import TuillmError
from tuillm.store.run_folder import Run, metric_rows
from tuillm.training.metrics import StepMetrics


def row(step, **values):
    """A line of metrics.jsonl as a worker writes it."""
    metrics = StepMetrics(
        step=step,
        train_loss=4 / step,
        lr=3e-4,
        grad_norm=1.5,
        tokens_per_sec=1e4,
        mfu=0.25,
        elapsed=step * 0.5,
        eta=60.0,
        epoch=step / 100,
        progress=step / 1000,
    )
    return json.dumps(metrics.row() | values) + "\n"


def read_all(path, limit=1 << 20):
    """The history of a whole file, read in batches of about `limit` bytes."""
    history, feed = History(), MetricsReader(path, limit)
    while True:
        batch = feed.next()
        history.add(batch)
        if not batch.more:
            return history


@pytest.fixture
def metrics(tmp_path):
    """The path of a metrics file that is not there yet."""
    return tmp_path / "metrics.jsonl"


def test_a_missing_or_empty_file_is_an_empty_history(metrics):
    """Before the first step there is nothing, and nothing fails."""
    assert len(read_all(metrics)) == 0
    metrics.touch()
    history = read_all(metrics)
    assert (len(history), history.best, history.last, history.resumed) == (0, None, {}, [])
    assert all(len(history.column(name)) == 0 for name in COLUMNS)
    assert all(len(part) == 0 for part in asdict(history.evaluations).values())


def test_columns_hold_what_the_worker_wrote(metrics):
    """Each key of a row is a column; what a row lacks is NaN there."""
    metrics.write_text(row(1) + row(2, val_loss=2.5, bits_per_byte=1.25) + '{"step": 3}\n')
    history = read_all(metrics)
    assert history.column("step").dtype == np.int64
    assert history.column("step").tolist() == [1, 2, 3]
    np.testing.assert_allclose(history.column("train_loss"), [4, 2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(history.column("elapsed"), [0.5, 1, np.nan])
    assert history.evaluations.step.tolist() == [2]
    assert history.evaluations.bits_per_byte.tolist() == [1.25]
    assert history.evaluations.elapsed.tolist() == [1.0]
    assert history.last == {"step": 3}


@pytest.mark.parametrize("limit", [1, 100, 700, 1 << 20])
def test_batches_of_any_size_give_the_same_history(metrics, limit):
    """Whole lines are read, be the limit shorter than one or longer than the file."""
    metrics.write_text("".join(row(step) for step in range(1, 30)))
    history = read_all(metrics, limit)
    assert history.column("step").tolist() == list(range(1, 30))


def test_a_torn_last_line_waits_for_its_end(metrics):
    """Half a line is not read, and not lost when the other half comes."""
    whole = row(1) + row(2)
    metrics.write_text(whole[:-20])
    history, feed = History(), MetricsReader(metrics)
    first = feed.next()
    history.add(first)
    assert (len(history), first.more) == (1, False)
    metrics.write_text(whole)
    history.add(feed.next())
    assert history.column("step").tolist() == [1, 2]


def test_growing_is_read_from_where_the_last_reading_ended(metrics):
    """Each batch holds only what is new, and an unchanged file changes nothing."""
    metrics.write_text(row(1))
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    version = history.version
    history.add(feed.next())
    assert history.version == version
    with metrics.open("a") as file:
        file.write(row(2))
    batch = feed.next()
    assert batch.columns["step"].tolist() == [2]
    history.add(batch)
    assert history.version > version and history.last["step"] == 2


@pytest.mark.parametrize(
    "damage",
    [
        "not json\n",
        "\n",
        '{"step": 2, "train\n',
        "[1, 2]\n",
        "7\n",
        '{"step": "2"}\n',
        '{"step": -1}\n',
        '{"step": 1e3}\n',
        '{"step": true}\n',
        '{"other": 1}\n',
        "\x00\x00\n",
        '{"step": 5\n"train_loss": 9}\n',
        "[" * 3000 + "\n",
    ],
)
def test_damaged_and_foreign_lines_are_passed_over(metrics, damage):
    """One bad line costs that line, and none of its neighbours."""
    metrics.write_text(row(1) + damage + row(2))
    history = read_all(metrics)
    assert history.column("step").tolist() == [1, 2]
    np.testing.assert_allclose(history.column("train_loss"), [4, 2])


def test_no_numbers_and_strange_values_stay_readable(metrics):
    """NaN and infinities are kept as they are; what is no number at all becomes NaN."""
    values = ["NaN", "Infinity", "-Infinity", "null", '"x"', "[1]", "1e300", "1" + "0" * 400]
    metrics.write_text(
        "".join(
            f'{{"step": {number}, "train_loss": {value}, "val_loss": {value}}}\n'
            for number, value in enumerate(values)
        )
    )
    history = read_all(metrics)
    expected = [np.nan, np.inf, -np.inf, np.nan, np.nan, np.nan, np.inf, np.nan]
    np.testing.assert_equal(history.column("train_loss").tolist(), expected)
    np.testing.assert_equal(history.evaluations.val_loss.tolist(), expected)
    assert history.best is None


def test_a_shrunken_file_is_read_from_its_beginning(metrics):
    """When the file has become shorter, the history is that of the new file alone."""
    metrics.write_text(
        "".join(row(step, val_loss=1.0) for step in range(1, 20)) + '{"resumed": 19}\n'
    )
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    metrics.write_text(row(7))
    batch = feed.next()
    assert batch.restarted
    history.add(batch)
    assert history.column("step").tolist() == [7]
    assert (history.best, history.resumed, history.last["step"]) == (None, [], 7)


def test_another_longer_file_in_its_place_is_noticed(metrics):
    """A file that is replaced by a longer one is not read on from the middle of a line."""
    metrics.write_text(row(1) + row(2))
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    metrics.write_text("".join(row(step, note="another") for step in range(1, 9)))
    history.add(feed.next())
    assert history.column("step").tolist() == list(range(1, 9))


def test_a_removed_file_empties_the_history(metrics):
    """A run that was removed leaves nothing behind."""
    metrics.write_text(row(1))
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    metrics.unlink()
    history.add(feed.next())
    assert (len(history), history.last, feed.offset) == (0, {}, 0)


def test_what_cannot_be_read_is_said(tmp_path):
    """A folder in the place of the file raises, naming it."""
    with pytest.raises(TuillmError, match="cannot be read"):
        read_batch(tmp_path)


def test_a_resumed_run_replaces_the_steps_it_takes_again(metrics):
    """After a resume the new rows count; marks stand where it was taken up."""
    metrics.write_text(
        "".join(row(step, val_loss=step) for step in range(1, 11))
        + '{"resumed": 6, "time": 1.0}\n'
        + "".join(row(step, train_loss=-1.0) for step in range(7, 9))
    )
    history = read_all(metrics)
    assert history.column("step").tolist() == list(range(1, 9))
    assert history.column("train_loss")[6:].tolist() == [-1, -1]
    assert history.evaluations.step.tolist() == list(range(1, 7))
    assert history.resumed == [6]
    assert history.best == (1, 1.0)
    with metrics.open("a") as file:
        file.write('{"resumed": 3, "time": 2.0}\n' + row(4))
    assert read_all(metrics).resumed == [3]


@pytest.mark.parametrize("limit", [1, 400, 3000, 1 << 20])
def test_rewinding_agrees_with_the_store(tmp_path, limit):
    """Whatever steps come in whatever order, the rows are those of `metric_rows`."""
    steps = np.random.default_rng(3).integers(0, 40, 400).tolist()
    run = Run("run", tmp_path)
    run.metrics.write_text(
        "".join(
            json.dumps({"step": step, "train_loss": float(number)}) + "\n"
            for number, step in enumerate([*range(50), *steps])
        )
    )
    expected = list(metric_rows(run))
    history = read_all(run.metrics, limit)
    assert history.column("step").tolist() == [each["step"] for each in expected]
    assert history.column("train_loss").tolist() == [each["train_loss"] for each in expected]
    assert history.last == expected[-1]


def test_the_best_evaluation_is_the_lowest_that_is_a_number(metrics):
    """NaN never is the best, and the best follows when its step is replaced."""
    metrics.write_text(
        row(1, val_loss=float("nan"))
        + row(2, val_loss=3.0)
        + row(3, val_loss=1.5)
        + row(4, val_loss=2.0)
    )
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    assert history.best == (3, 1.5)
    with metrics.open("a") as file:
        file.write(row(3))
    history.add(feed.next())
    assert history.best == (2, 3.0)


def test_the_newest_values_need_no_whole_column(metrics):
    """`recent` gives the end of a column, or all of it when there is less."""
    metrics.write_text("".join(row(step) for step in range(1, 11)))
    history = read_all(metrics)
    assert history.recent("step", 3).tolist() == [8, 9, 10]
    assert history.recent("step", 99).tolist() == list(range(1, 11))


def test_columns_do_not_change_once_they_are_given(metrics):
    """A chart may keep an array while the history goes on, or back."""
    metrics.write_text("".join(row(step) for step in range(1, 5)))
    history, feed = History(), MetricsReader(metrics)
    history.add(feed.next())
    before = history.column("train_loss")
    kept = before.copy()
    with metrics.open("a") as file:
        file.write(row(2, train_loss=9.0))
    history.add(feed.next())
    assert before.tolist() == kept.tolist()


@pytest.mark.slow
def test_a_long_history_is_small_and_rewinds_across_its_blocks(metrics):
    """Two hundred thousand steps take less than 60 bytes each, and can be taken back."""
    count = 200_000
    with metrics.open("w") as file:
        file.writelines(
            f'{{"step": {step}, "train_loss": 2.5, "lr": 0.001}}\n' for step in range(count)
        )
    history, feed = History(), MetricsReader(metrics)
    batch = feed.next()
    tracemalloc.start()
    try:
        history.add(batch)
        while batch.more:
            batch = feed.next()
            history.add(batch)
        del batch
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(history) == count and size < 60 * count
    assert (np.diff(history.column("step")) == 1).all()
    assert history.recent("step", 70_000).tolist() == list(range(count - 70_000, count))
    with metrics.open("a") as file:
        file.write(row(40_000) + row(40_001))
    history.add(feed.next())
    assert len(history) == 40_002 and history.last["step"] == 40_001
    assert (np.diff(history.column("step")) == 1).all()
