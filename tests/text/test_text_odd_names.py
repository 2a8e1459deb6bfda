"""Files and folders whose names are not UTF-8 are learned from like any others."""

import os
import subprocess
import sys

import pytest

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.store.registry import get_model
from tuillm.store.run_folder import get_run, list_runs
from tuillm.store.workers.forecast_process import ForecastProcess
from tuillm.text.corpus import read_corpus

ODD = os.fsdecode(b"na\xefve")  # Latin-1
QUICK = ("--preset", "nano", "--max-steps", "2", "--tokenizer", "char")


@pytest.fixture
def odd_book(tmp_path, book):
    """The book under a name, and in a folder with a name, that is not UTF-8."""
    path = tmp_path / ODD / f"{ODD}.txt"
    path.parent.mkdir()
    path.write_bytes(book.read_bytes())
    return path


def tuillm(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tuillm", *map(os.fsencode, arguments)],
        capture_output=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_run_by_command(odd_book):
    """Trained, shown and told in UTF-8; the run finds its text again."""
    done = tuillm("train", odd_book, *QUICK)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and done.stdout.decode()
    (run,) = list_runs()
    assert run.status().state == "finished"
    assert run.config.corpus == (str(odd_book),)
    assert get_model(run.status().model).card.corpus == "na\ufffdve.txt"
    shown = tuillm("runs", "show", run.id)
    assert shown.returncode == 0, shown.stderr
    assert "na\\udcefve" in shown.stdout.decode()


@pytest.mark.slow
def test_a_forecast_and_a_run_in_python(odd_book):
    """The settings reach another process, and the log and the card are written."""
    with ForecastProcess(build_train({"corpus": odd_book, "preset": "nano"})) as process:
        _, text, *_ = process
        assert text.bytes == odd_book.stat().st_size
    model = Trainer(corpus=odd_book, name="odd", preset="nano", tokenizer="char", max_steps=2).run()
    assert read_corpus(get_run("odd-1").config.corpus).sha256 == model.card.corpus_sha256


@pytest.mark.everyday(2)
@pytest.mark.parametrize("content", [None, b"", b"\0\0\1", b"caf\x81\x8d", b"<html></html>"])
def test_its_errors_are_one_line(tmp_path, content):
    """The name is quoted with a replacement character, wherever the error is."""
    path = tmp_path / f"{ODD}.txt"
    if content is not None:
        path.write_bytes(content)
    done = tuillm("train", path)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1 and "na\ufffdve.txt" in done.stderr.decode()


@pytest.mark.slow
def test_a_run_that_fails_there_says_why(odd_book):
    """A worker whose text has gone writes its failure down: the run is not lost."""
    from tuillm.store.workers.launch import start_run

    config = build_train({"corpus": odd_book, "preset": "nano"})
    odd_book.unlink()
    run = start_run(config)
    from tuillm.store.workers import processes

    processes._started[-1].wait(60)
    status = run.status()
    assert status.state == "failed" and "does not exist" in status.error
    assert "does not exist" in run.log.read_text(encoding="utf-8")


def test_a_model_in_such_a_folder_is_a_parent(odd_book, trained_folders, tmp_path):
    """Training goes on from it by its path, and its name in the card is printable."""
    import shutil

    parent = tmp_path / f"{ODD}-model"
    shutil.copytree(trained_folders["char"], parent)
    model = Trainer(corpus=odd_book, name="child", init_from=parent, max_steps=2).run()
    assert model.card.parent == "na\ufffdve-model"
