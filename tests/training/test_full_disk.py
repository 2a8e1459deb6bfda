"""A disk that fills up while a run saves costs nothing that was learned before."""

import subprocess
import sys

import pytest

from tuillm.config import build_train
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model, list_models
from tuillm.store.run_folder import create_run

# a process that may write no file longer than a checkpoint's largest: the model fits, the
# trainer's state, which is longer, does not
FULL = """
import resource, sys
from pathlib import Path
from tuillm.store.run_folder import Run
from tuillm.training import checkpoint_saver
from tuillm.training import worker

real = checkpoint_saver.save_checkpoint
def save(trainer, folder):  # the disk is full from the last checkpoint on
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    real(trainer, folder)
checkpoint_saver.save_checkpoint = save
sys.exit(worker.main([sys.argv[1]]))
"""


def new_run(book):
    """A run of two steps, each of them evaluated."""
    return create_run(
        build_train(
            {
                "corpus": str(book),
                "preset": "nano",
                "tokenizer": "char",
                "max_steps": 2,
                "eval_interval": 1,
                "sample_tokens": 1,
                "dtype": "float32",
            }
        ),
        this_process(),
    )


def train(run, limit):
    """Train in a process that can write files of `limit` bytes from its first checkpoint on."""
    return subprocess.run(
        [sys.executable, "-c", FULL, str(run.path), str(limit)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_full_disk_at_the_last_checkpoint_does_not_cost_the_best_model(book):
    """The best so far is published, as it stands in the run, and the failure is told."""
    run = new_run(book)
    done = train(run, 285_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    status = run.status()
    assert status.state == "failed" and "File too large" in status.error
    assert "the best so far is 'book'" in status.hint and status.model == "book"
    best = (run.best / "model.safetensors").read_bytes()
    model = get_model("book")
    assert (model.path / "model.safetensors").read_bytes() == best and not model.problem
    assert model.card.val_loss == status.val_loss
    assert not run.last.exists() and not list(run.path.glob(".*"))


@pytest.mark.slow
def test_what_a_wholly_full_disk_kept_from_being_published_comes_with_the_next_start(book):
    """Not even the state can be written: `best` stays, and begins the next attempt's registry."""
    run = new_run(book)
    done = train(run, 0)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert run.status().state == "lost" and list_models() == []
    best = (run.best / "model.safetensors").read_bytes()
    assert train(run, 0).returncode == 1  # there was no checkpoint: it begins anew
    assert (get_model("book").path / "model.safetensors").read_bytes() == best
