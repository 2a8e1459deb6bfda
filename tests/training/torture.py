"""`python -m training.torture FOLDER DTYPE KILLS SEED`: a run that is killed again and again.

A process that has loaded everything forks a worker, kills it at a random moment, or has it kill
itself at a random operation on files while it saves, looks at what is left, and takes the run up
again; until it has ended. Prints what came of it as JSON.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from tuillm.config import build_train
from tuillm.model import read_model
from tuillm.store.files import read_json, recover_folder
from tuillm.store.jsonl import latest_steps, read_metrics
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model, list_models, remove_model
from tuillm.store.run_folder import create_run
from tuillm.training import worker
from tuillm.training.checkpoint_saver import CheckpointSaver
from tuillm.training.runner import Runner

# what changes a disk, as sys.addaudithook tells of it; writing and syncing are wrapped
_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod"}


class DeathAtOperation:
    """Kills this process at the k-th operation on files within what is `watched`; 0 never."""

    def __init__(self, k):
        self._k, self.count, self._depth = k, 0, 0
        sys.addaudithook(lambda event, _: self._happen() if event in _EVENTS else None)
        for name in ("write", "fsync"):
            setattr(os, name, self._wrapped(getattr(os, name)))

    def watched(self, function):
        """Return the function, with the operations in it counted."""

        def call(*given, **more):
            self._depth += 1
            try:
                return function(*given, **more)
            finally:
                self._depth -= 1

        return call

    def _wrapped(self, function):
        def call(*given, **more):
            self._happen()
            return function(*given, **more)

        return call

    def _happen(self):
        if self._depth:
            self.count += 1
            if self.count == self._k:
                os.kill(os.getpid(), signal.SIGKILL)


def work(run, k):
    """Be a worker in this forked process, which dies at the k-th operation within a save."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    death = DeathAtOperation(k)
    setattr(CheckpointSaver, "due", True)  # noqa: B010  saved after each step
    for owner, name in ((CheckpointSaver, "save_last"), (CheckpointSaver, "save_best")):
        setattr(owner, name, death.watched(getattr(owner, name)))
    Runner._publish = death.watched(Runner._publish)
    recover_folder(run.last)
    resume = ["--resume"] if run.checkpoint.exists() else []
    return worker.main([str(run.path), *resume])


def forked(action):
    """Do something in a process of its own; return its number."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            code = action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code or 0)
    return pid


def check(run):
    """Whatever the moment: what has a name is whole."""
    recover_folder(run.last)
    recover_folder(run.best)
    run.status()
    run.config  # noqa: B018
    for model in list_models():
        assert not model.problem, model.problem
        read_model(model.path)
    for folder in (run.last, run.best):
        if folder.exists():
            read_model(folder)
    if run.checkpoint.exists():
        assert read_json(run.checkpoint)["step"] > 0


def end_of(run, draw, kills):
    """Kill a run up to `kills` times and let it end; return how often, and how often in a save."""
    killed = inside = 0
    while True:
        saving = draw.random() < 0.5
        k = draw.randint(1, 400) if saving and killed < kills else 0
        run.control.unlink(missing_ok=True)
        pid = forked(lambda k=k: work(run, k))
        if not k and killed < kills:
            time.sleep(draw.random() * 0.8)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            inside += bool(k)
            check(run)
            continue
        assert os.WEXITSTATUS(status) == 0, (status, run.status())
        return killed, inside


def content(run):
    """What must be the same: losses, weights of the last step and of the published model."""
    rows = [
        (r["step"], r["train_loss"], r.get("val_loss"))
        for r in latest_steps(read_metrics(run.metrics)[0])
    ]
    names = (run.last, get_model(run.status().model).path)
    return rows, [(folder / "model.safetensors").read_bytes() for folder in names]


def main(folder, dtype, kills, seed):
    """Torture runs until there were so many kills."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    settings = dict(preset="nano", tokenizer="char", max_steps=24, sample_tokens=2, eval_interval=8)
    settings |= dict(corpus=str(Path(folder) / "book.txt"), dtype=dtype, dropout=0.1, ema=0.1)
    made = create_run(build_train(settings | {"name": "undisturbed"}), this_process())
    assert end_of(made, draw, 0) == (0, 0)
    expected, total, inside, runs = content(made), 0, 0, 0
    while total < kills:
        run = create_run(build_train(settings | {"name": "tortured"}), this_process())
        times = end_of(run, draw, min(kills - total, 25))
        assert content(run) == expected, run.path
        remove_model("tortured")
        total, inside, runs = total + times[0], inside + times[1], runs + 1
    print(json.dumps({"kills": total, "inside_saving": inside, "runs": runs}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
