"""Homes full of models and runs, and real workers that never outlive their test."""

import shutil

import pytest
from commands import end_workers
from dashboard.furnished import furnish

from tuillm.config import build_train
from tuillm.store.run_folder import Run
from tuillm.store.workers.launch import start_run


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    """The dashboard looks at the disk five times a second, so that tests need not wait for it."""
    monkeypatch.setattr("tuillm.dashboard.app._LOOK_EVERY", 0.2)


@pytest.fixture(autouse=True)
def all_colors(monkeypatch):
    """The terminal of the tests shows every colour; those for sixteen ask for it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.fixture(autouse=True, scope="session")
def small_workers():
    """Workers take one core each and leave the other to the dashboard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def no_worker_left():
    """Workers are gone when a test is over, those of a failed test too."""
    yield
    end_workers()


@pytest.fixture
def house(home):
    """A home with seven models, one of them damaged, and six runs that have ended."""
    furnish(home)
    return home


@pytest.fixture
def grown(home, model, trained_folders):
    """The real run that grew `model`, finished, with its checkpoints."""
    source = trained_folders["bpe"].parents[1] / "runs" / "bpe-1"
    return Run("bpe-1", shutil.copytree(source, home / "runs" / "bpe-1"))


@pytest.fixture
def start(book):
    """A function that starts a real worker on the book, which goes on until it is stopped."""

    def begin(**settings):
        quick = dict(
            corpus=str(book),
            preset="nano",
            tokenizer="char",
            max_steps=1_000_000,
            dtype="float32",
            sample_tokens=8,
            eval_interval=100,
        )
        return start_run(build_train(quick | settings))

    return begin
