"""`python -m training.crash_points FOLDER WORK`: die at the k-th operation on files, for every k.

A process that has loaded everything forks one for each k, on a fresh copy of the same registry and
run, and looks at what is left. Prints the number of points at which it died.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import torch
from training.torture import DeathAtOperation, check, forked

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.model import read_model
from tuillm.store.files import read_json
from tuillm.store.paths import data_dir
from tuillm.store.process_id import this_process
from tuillm.store.registry import copy_model, get_model, list_models, remove_model, rename_model
from tuillm.store.run_folder import Run, create_run, list_runs, remove_run
from tuillm.training.checkpoint import load_checkpoint
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.publish import publish_run
from tuillm.training.runner import Runner


class Bench:
    """A run of some steps with its model published, and a trainer that has gone on since."""

    def __init__(self, folder):
        settings = dict(preset="nano", tokenizer="char", max_steps=6, sample_tokens=0, keep=1)
        settings |= dict(corpus=str(Path(folder) / "book.txt"), dtype="float32", eval_interval=3)
        self.run = create_run(build_train(settings), this_process())
        with self.run.take():
            Runner(Trainer(config=self.run.config), self.run).run()
        self.trainer = Trainer(config=self.run.config.model_copy(update={"max_steps": 9}))
        load_checkpoint(self.trainer, self.run.last)
        for _ in range(3):
            self.trainer.take_step(1.0)
        self.before = weights(self.run.last), weights(get_model("book").path)

    def publish(self):
        """Publish again, over the model of before."""
        status = self.run.status()
        publish_run(
            self.trainer, self.run, status, source=self.run.last, published="book", replace=True
        )


def weights(folder):
    """The bytes of a model's weights."""
    return (folder / "model.safetensors").read_bytes()


WORK = {
    "save_last": lambda bench: CheckpointSaver(bench.trainer, bench.run).save_last(),
    "save_best": lambda bench: CheckpointSaver(bench.trainer, bench.run).save_best(),
    "save_numbered": lambda bench: CheckpointSaver(bench.trainer, bench.run).save_numbered(),
    "publish": Bench.publish,
    "rename": lambda bench: rename_model("book", "other"),
    "copy": lambda bench: copy_model("book", "other"),
    "remove": lambda bench: remove_model("book"),
    "remove_run": lambda bench: remove_run(bench.run),
}


def look(bench, work):
    """After a death at any point: what is there is the old or the new, whole."""
    for run in list_runs():
        check(run)
    names = {model.name for model in list_models()}
    assert names in ({"book"}, AFTER.get(work, {"book"}))
    for model in list_models():
        assert not model.problem
        read_model(model.path)
    if work != "remove_run":
        last, _ = bench.before
        assert read_json(bench.run.checkpoint)["step"] in (6, 9)
        changed = weights(bench.run.last) != last
        assert not changed or work in ("save_last", "save_numbered")
        assert (read_json(bench.run.checkpoint)["step"] == 9) == changed
        for numbered in bench.run.path.glob("step-*"):
            read_model(numbered)


# the models of the registry when a piece of work is done, where these are others than before
AFTER = {"rename": {"other"}, "copy": {"book", "other"}, "remove": set()}


def main(folder, work):
    """Die at every point of a piece of work."""
    torch.set_num_threads(1)
    bench = Bench(folder)
    home, kept = data_dir(), Path(folder) / "kept"
    shutil.copytree(home, kept)
    k = 0
    while True:
        k += 1
        pid = forked(lambda k=k: DeathAtOperation(k).watched(WORK[work])(bench))
        _, status = os.waitpid(pid, 0)
        look(bench, work)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0, (k, status)
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        if work not in ("remove", "remove_run"):  # what died can be done after all
            again(bench, work)
        shutil.rmtree(home)
        shutil.copytree(kept, home)
    print(k - 1)


def again(bench, work):
    """Do the work that died once more, unless it had been done; nothing of the first is left."""
    if not (work in ("rename", "copy") and "other" in {model.name for model in list_models()}):
        WORK[work](bench)
    run, models = Run(bench.run.id, bench.run.path), data_dir() / "models"
    look(bench, work)
    assert work in ("save_last", "save_best", "save_numbered") or not list(models.glob(".*"))
    assert run.path.exists()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
