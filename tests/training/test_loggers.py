"""--log-to and `tuillm runs log`: what tools read is what metrics.jsonl says, whatever happened."""

import csv
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from commands import tuillm
from conditions import until

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import UsageError
from tuillm.loggers.log_run import log_run, progress_of
from tuillm.store.jsonl import read_samples
from tuillm.store.locks import take
from tuillm.store.run_folder import get_run, metric_rows
from tuillm.store.run_status import ACTIVE

QUICK: dict[str, Any] = dict(
    preset="nano", tokenizer="char", max_steps=12, sample_tokens=8, eval_interval=4
)


def nothing(line):
    """Hear what a logger says, and do without it."""


@pytest.fixture
def run(book):
    Trainer(book, **QUICK).run(quiet=True)
    return get_run("book-1")


def csv_rows(run, name):
    """The lines of one of a run's CSV files."""
    with (run.path / "csv" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def settings_of(run):
    """What settings.csv says."""
    text = (run.path / "csv" / "settings.csv").read_text(encoding="utf-8")
    return dict(csv.reader(text.splitlines()))


def test_csv_of_a_run_that_is_over(run):
    """Every step, with the same figures, and the samples."""
    log_run(run, ("csv",), nothing)
    rows = list(metric_rows(run))
    told = csv_rows(run, "metrics.csv")
    assert len(rows) == 12
    assert [(int(t["step"]), float(t["train_loss"])) for t in told] == [
        (row["step"], row["train_loss"]) for row in rows
    ]
    assert [t["val_loss"] for t in told if t["val_loss"]] == [
        str(row["val_loss"]) for row in rows if "val_loss" in row
    ]
    samples, _ = read_samples(run.samples)
    assert [(int(t["step"]), t["text"]) for t in csv_rows(run, "samples.csv")] == [
        (sample.step, sample.text) for sample in samples
    ]
    settings = settings_of(run)
    assert settings["max_steps"] == "12"


def test_tensorboard_reads_the_steps(run):
    """TensorBoard's own reader finds each point, the texts, and the time of each step."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log_run(run, ("tensorboard",), nothing)
    reader = events.EventAccumulator(str(run.path / "tensorboard")).Reload()
    rows = list(metric_rows(run))
    points = reader.Scalars("train/loss")
    assert [point.step for point in points] == [row["step"] for row in rows]
    assert [point.value for point in points] == pytest.approx([row["train_loss"] for row in rows])
    began = run.status().created
    assert points[-1].wall_time == pytest.approx(began + rows[-1]["elapsed"], abs=0.01)
    tags = reader.Tags()["tensors"]
    assert "samples/text_summary" in tags and "settings/text_summary" in tags


def wandb_records(content):
    """The records of a .wandb file: LevelDB's log format behind a head of seven bytes."""
    records: Any = import_module("wandb.proto.wandb_internal_pb2")

    at, block, parts = 7, 32_768, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # too little is left of the block for another head
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = records.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def test_wandb_works_offline_and_without_an_account(run, monkeypatch):
    """A run of its own folder, to be sent later by `wandb sync`, with every step in it."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    told = log_run(run, ("wandb",), nothing)["wandb"]
    assert not told.error
    assert told.hint == f"wandb sync {os.path.dirname(told.where)}/offline-run-*"
    (path,) = (run.path / "wandb").glob("offline-run-*/*.wandb")
    steps = []
    for record in wandb_records(path.read_bytes()):
        if record.WhichOneof("record_type") == "history":
            items = {
                item.key or "/".join(item.nested_key): item.value_json
                for item in record.history.item
            }
            if "train/loss" in items:
                steps.append((int(items["_step"]), float(items["train/loss"])))
    assert steps == [(row["step"], row["train_loss"]) for row in metric_rows(run)]


def test_trackio_keeps_the_steps(run, tmp_path):
    """In its own database, in its own folder."""
    pytest.importorskip("trackio")
    done = tuillm("runs", "log", run.id, "--to", "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "trackio").glob("*.db"))) == 1
    asked = subprocess.run(
        [sys.executable, "-m", "trackio.cli", "get", "metric", "--project", "tuillm"]
        + ["--run", progress_of(run)["trackio"].where.split("/")[1], "--metric", "train/loss"]
        + ["--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")},
        timeout=60,
        check=True,
    )
    steps = [(point["step"], point["value"]) for point in json.loads(asked.stdout)["values"]]
    assert steps == [(row["step"], row["train_loss"]) for row in metric_rows(run)]


def test_a_second_time_adds_only_what_is_new(run):
    """Nothing comes twice; a file that was removed is made again."""
    log_run(run, ("csv",), nothing)
    first = (run.path / "csv" / "metrics.csv").read_bytes()
    log_run(run, ("csv",), nothing)
    assert (run.path / "csv" / "metrics.csv").read_bytes() == first
    for path in (run.path / "csv").iterdir():
        path.unlink()
    (run.path / "csv").rmdir()
    log_run(run, ("csv",), nothing)
    assert (run.path / "csv" / "metrics.csv").read_bytes() == first


@pytest.mark.parametrize("again", [1, 3])
def test_steps_that_come_again_replace_the_former(run, again):
    """With a mark or without one, as of a run that died before its first checkpoint."""
    log_run(run, ("csv",), nothing)
    with run.metrics.open("a") as file:
        for step in (again, again + 1):
            file.write(json.dumps({"step": step, "train_loss": 9.0, "elapsed": 1.0}) + "\n")
    with run.samples.open("a") as file:
        file.write(json.dumps({"step": again + 1, "text": "anew"}) + "\n")
    log_run(run, ("csv",), nothing)
    told = csv_rows(run, "metrics.csv")
    assert [int(t["step"]) for t in told] == list(range(1, again + 2))
    assert [t["train_loss"] for t in told[-2:]] == ["9.0", "9.0"]
    texts = csv_rows(run, "samples.csv")
    assert texts[-1]["text"] == "anew" and len({t["step"] for t in texts}) == len(texts)


def test_two_at_once_do_not_log_the_same(run):
    """The second one says so, and leaves the record of the first as it is."""
    before = log_run(run, ("csv",), nothing)["csv"]
    with take(run.path / "loggers" / "csv.lock"):
        told = log_run(run, ("csv",), nothing, wait=0.0)["csv"]
    assert told.error == "another process is logging it"
    assert progress_of(run)["csv"] == before


def test_a_run_that_was_removed_is_not_made_again(run):
    """Nor is anything of it."""
    shutil.rmtree(run.path)
    assert log_run(run, ("csv",), nothing) == {}
    assert not run.path.exists()


@pytest.mark.slow
def test_while_it_trains_through_a_kill_and_a_resume(book):
    """What a resumed run takes again replaces what was logged of it."""
    done = tuillm(
        *("train", str(book), "--preset", "nano", "--tokenizer", "char", "--max-steps", "100000"),
        *("--eval-interval", "20", "--sample-tokens", "8", "--log-to", "csv", "--detach"),
    )
    assert done.returncode == 0, done.stderr
    run = get_run("book-1")
    until(lambda: run.checkpoint.exists() and progress_of(run).get("csv") is not None)
    until(lambda: progress_of(run)["csv"].step > 40)
    os.kill(run.status().pid, signal.SIGKILL)
    until(lambda: progress_of(run)["csv"].ended > 0)
    assert run.status().state == "lost"
    ended = progress_of(run)["csv"].ended
    assert tuillm("runs", "resume", run.id).returncode == 0
    until(lambda: run.status().state == "running" and run.status().step > 60)
    run.request("stop")
    until(lambda: run.status().state not in ACTIVE)
    until(lambda: progress_of(run)["csv"].ended > ended)
    rows = list(metric_rows(run))
    told = csv_rows(run, "metrics.csv")
    assert [int(t["step"]) for t in told] == [row["step"] for row in rows]
    assert [float(t["train_loss"]) for t in told] == [row["train_loss"] for row in rows]


def test_a_logger_that_fails_ends_alone(run):
    """Its reason is kept, the other one is done."""
    (run.path / "tensorboard").write_text("a file where a folder belongs")
    heard = []
    told = log_run(run, ("tensorboard", "csv"), heard.append)
    assert told["tensorboard"].error and heard[0].startswith("tensorboard: ")
    assert not told["csv"].error and len(csv_rows(run, "metrics.csv")) == 12
    done = tuillm("runs", "log", run.id, "--to", "tensorboard")
    assert done.returncode != 0 and "not logged to tensorboard" in done.stderr
    assert "Traceback" not in done.stderr
    assert "logged to tensorboard" in tuillm("runs", "show", run.id).stdout


@pytest.mark.slow
def test_train_says_where_it_logged_and_what_was_forecast(book):
    """The forecast lies in the run folder, and goes with the settings."""
    done = tuillm(
        *("train", str(book), "--preset", "nano", "--tokenizer", "char", "--max-steps", "8"),
        *("--log-to", "csv"),
    )
    assert done.returncode == 0, done.stderr
    assert "Logged to csv: " in done.stdout
    run = get_run("book-1")
    forecast = json.loads(run.forecast.read_text())
    assert forecast["steps"] == 8 and forecast["parameters"] == run.status().parameters
    settings = settings_of(run)
    assert settings["forecast.parameters"] == str(forecast["parameters"])
    assert len(csv_rows(run, "metrics.csv")) == 8


def test_names_are_checked_where_they_are_typed(book, monkeypatch):
    """One line with what there is; a library that is missing is told before anything starts."""
    with pytest.raises(UsageError, match="log_to cannot be 'mlflow'"):
        build_train({"corpus": (str(book),), "log_to": "mlflow"})
    assert build_train({"corpus": ("b",), "log_to": "csv, wandb"}).log_to == ("csv", "wandb")
    assert build_train({"corpus": ("b",), "log_to": "none"}).log_to == ()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr("tuillm.loggers.available.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed") as refused:
        Trainer(book, **QUICK, log_to="tensorboard").run(quiet=True)
    assert refused.value.hint == "pip install 'tuillm[tensorboard]'"
