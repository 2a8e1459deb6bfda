"""A start that cannot work is told in one line and leaves no run folder behind."""

import subprocess
import sys

import pytest
import torch

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import TuillmError, UsageError
from tuillm.store.files import write_text
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run
from tuillm.store.workers.launch import forget_vain_start
from tuillm.training.start_checks import validate_start

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has cuda")


def runs(home):
    """What is in the folder of runs, hidden entries included."""
    folder = home / "runs"
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--device", "cuda"], "device 'cuda' is not there (this machine has cpu)", 2),
        (["--name", "a/b"], "'a/b' cannot be a name", 2),
        (["--val-fraction", "0.5"], "is too short to learn from", 1),
    ],
    ids=["device", "name", "worker"],
)
def test_train_refuses_and_leaves_nothing(home, book, arguments, words, code):
    """Whether it is known before the start or only by the worker."""
    book.write_text("xy")
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", "train", str(book), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code and words in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert runs(home) == []


@pytest.mark.slow
def test_the_forms_start_refuses_a_missing_device(home, book):
    """The dashboard asks the same before it starts a run, without torch in its process."""
    with pytest.raises(UsageError, match="device 'cuda' is not there"):
        validate_start(build_train({"corpus": str(book), "device": "cuda"}))
    validate_start(build_train({"corpus": str(book), "device": "cpu"}))
    assert runs(home) == []


@pytest.mark.parametrize("setting", [{"device": "cuda"}, {"name": "a/b"}, {"corpus": "gone.txt"}])
def test_a_trainer_leaves_no_run_either(home, book, setting):
    """In Python, too, nothing is made before it is known to work."""
    with pytest.raises(TuillmError):
        Trainer(**{"corpus": str(book), "preset": "nano"} | setting).run()
    assert runs(home) == []


@pytest.mark.parametrize(
    ("hint", "made", "kept"),
    [
        (None, "", False),
        ("use a longer text", "", False),
        ("see LOG", "", True),
        (None, "metrics.jsonl", True),
        (None, "last/trainer.json", True),
    ],
)
def test_only_what_learned_nothing_and_was_told_is_forgotten(home, book, hint, made, kept):
    """A fault of ours keeps its log, and what has learned anything keeps all of it."""
    run = create_run(build_train({"corpus": str(book)}), this_process())
    hint = hint and hint.replace("LOG", str(run.log))
    run.write_status(
        run.recorded().model_copy(update={"state": "failed", "error": "no", "hint": hint})
    )
    if made:
        write_text(run.path / made, "{}")
    forget_vain_start(run)
    assert runs(home) == (["book-1"] if kept else [])
