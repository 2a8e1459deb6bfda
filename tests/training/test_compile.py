"""--compile: the same losses by compiled code, where there is a compiler and where it pays.

Real compilations by TorchInductor, whose cache the tests of a session share.
"""

import subprocess
import sys
from typing import Any

import pytest
import torch
from training.test_distributed import config, ended, same, until
from training.test_guards import REFUSALS, holds

from tuillm import Trainer
from tuillm.config.gpt_config import GPTConfig
from tuillm.errors import TuillmError, UsageError
from tuillm.model import GPT
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run, list_runs, metric_rows
from tuillm.store.workers.launch import resume_run, start_run
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.compile_choice import CompileChoice
from tuillm.training.compiled_step import CompiledBlocks
from tuillm.training.runner import Runner

# PyTorch's compiler has warnings of its own, which are no errors
pytestmark = pytest.mark.filterwarnings("default")

QUICK: dict[str, Any] = dict(
    preset="nano",
    tokenizer="char",
    max_steps=8,
    sample_tokens=0,
    dtype="float32",
    n_layer=3,
    batch_size=8,
    dropout=0.0,
    device="cpu",
)
NO_COMPILER = "not compiled: no C++ compiler: /nowhere/g++ is not there"


@pytest.fixture(autouse=True)
def compiled_code(tmp_path_factory, monkeypatch):
    """What was compiled once is found again by other tests."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))


@pytest.fixture
def no_compiler(monkeypatch):
    """A machine on which the C++ compiler that a person named is not there."""
    monkeypatch.setenv("CXX", "/nowhere/g++")


@pytest.fixture
def broken_compiler(monkeypatch, tmp_path):
    """A compiler that tells its version and compiles nothing."""
    path = tmp_path / "broken-g++"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "g++ 13.2.0" && exit 0\nexit 1\n')
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))


def compare(book, **settings):
    """Train eagerly and compiled; return both trainers and both lists of losses."""
    trainers = [Trainer(book, **QUICK | settings | {"compile": how}) for how in ("off", "on")]
    return trainers, [[m.train_loss for m in trainer.steps()] for trainer in trainers]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "adamw", "learning_rate": 1e-3, "bias": True},
        {"grad_checkpoint": True, "grad_accum_steps": 2},
    ],
    ids=["muon", "adamw", "recompute"],
)
def test_compiled_steps_have_the_losses_of_eager_ones(book, settings):
    """One graph serves all blocks, and evaluations are eager ones of the same weights."""
    (_, compiled), (eager, losses) = compare(book, **settings)
    assert losses == pytest.approx(eager, abs=1e-4)
    blocks = compiled.setup.gradients.blocks
    assert blocks.on and blocks.graphs == 1 and not blocks.failure


@pytest.mark.slow
def test_lora_is_compiled(book, model):
    """Frozen layers and those with adapters are two kinds of layers in one graph."""
    settings = dict(init_from=model, lora=True, preset="finetune", tokenizer="auto")
    for targets in ("all", "c_attn"):
        taken = {key: QUICK[key] for key in ("max_steps", "sample_tokens", "dtype", "device")}
        found = []
        for how in ("off", "on"):
            trainer = Trainer(
                book, **taken, **settings, lora_targets=targets, dropout=0.0, compile=how
            )
            found.append([m.train_loss for m in trainer.steps()])
        assert found[1] == pytest.approx(found[0], abs=1e-4), targets
        assert trainer.setup.gradients.blocks.on and not trainer.setup.gradients.blocks.failure


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precisions_are_compiled(book, dtype):
    """Their losses differ by what the precision leaves open."""
    _, (eager, losses) = compare(book, dtype=dtype, max_steps=4, batch_size=2, block_size=16)
    assert losses == pytest.approx(eager, abs=0.01)


@pytest.mark.slow
def test_dropout_draws_from_the_seed(book, tmp_path):
    """A compiled run that was interrupted is as one that was not, bit for bit."""
    settings = QUICK | dict(dropout=0.2, compile="on")
    undisturbed = Trainer(book, **settings)
    rows = []
    for metrics in undisturbed.steps():
        rows.append(metrics.train_loss)
        if metrics.step == 4:
            save_checkpoint(undisturbed, tmp_path / "last")
    resumed = Trainer(book, **settings)
    load_checkpoint(resumed, tmp_path / "last")
    assert resumed.setup.gradients.blocks.on
    assert [metrics.train_loss for metrics in resumed.steps()] == rows[4:]
    assert all(map(torch.equal, undisturbed.model.parameters(), resumed.model.parameters()))
    eager = [m.train_loss for m in Trainer(book, **QUICK, compile="off").steps()]
    assert rows != pytest.approx(eager, abs=1e-3)  # it has been dropped


@pytest.mark.slow
def test_a_batch_in_parts_is_compiled_once_for_each_size(book):
    """Of 8 windows the memory holds 3: parts of 2, from then on of one size."""
    trainer = Trainer(book, **QUICK, compile="on")
    trainer.prepare()
    holds(trainer, 3, REFUSALS[0])
    losses = [m.train_loss for m in trainer.steps()]
    assert trainer.setup.gradients.micro_batch == 2 and trainer.setup.gradients.blocks.graphs == 1
    eager = [m.train_loss for m in Trainer(book, **QUICK, compile="off").steps()]
    assert losses == pytest.approx(eager, abs=1e-4)


@pytest.mark.slow
def test_there_is_an_end_of_compiling(book):
    """Parts of ever other sizes are computed eagerly in the end, with the same gradients."""
    settings = QUICK | dict(n_layer=1, n_embd=8, n_head=1, block_size=8, batch_size=12)
    found = []
    for how in ("off", "on"):
        trainer = Trainer(book, **settings, compile=how)
        trainer.prepare()
        trainer.setup.learner.train()
        losses = []
        with torch._dynamo.config.patch(recompile_limit=3):  # which is 8
            for size in (6, 12, 5, 7, 8):
                trainer.setup.gradients.micro_batch = size
                losses.append(trainer.take_step(1.0)[0])
        found.append(losses)
    blocks = trainer.setup.gradients.blocks
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert blocks.graphs == 3 and blocks.on and not blocks.failure


@pytest.mark.slow
def test_two_processes_are_compiled(book):
    """Each computes its part by compiled code; the losses are those of one that is eager."""
    settings = config(book, nproc=2, compile="on", device="cpu", max_steps=12, dropout=0.0)
    run = start_run(settings)
    assert ended(run).state == "finished", run.log.read_text()
    alone = settings.model_copy(update={"nproc": 1, "compile": "off", "name": "alone"})
    other = create_run(alone, this_process())
    with other.take():
        Runner(Trainer(config=alone), other).run()
    same(run, other, tolerance=1e-4)


@pytest.mark.slow
def test_a_process_that_cannot_compile_ends_a_run_that_was_to_be(book, broken_compiler):
    """Together with the others, in one line."""
    settings = config(book, nproc=2, compile="on", device="cpu", dropout=0.0)
    run = start_run(settings)
    status = ended(run)
    assert status.state == "failed" and "could not be compiled" in str(status.error)
    assert "\n" not in status.error and "Traceback" not in run.log.read_text()


@pytest.mark.slow
def test_weights_that_are_spread_are_computed_eagerly(book):
    """With a note."""
    run = start_run(config(book, nproc=2, shard=True, compile="on", device="cpu", max_steps=4))
    status = ended(run)
    assert status.state == "finished", run.log.read_text()
    assert any(note.startswith("not compiled: weights that are spread") for note in status.notes)


def test_what_has_no_blocks_is_computed_eagerly(book):
    """A bigram model, with a note."""
    trainer = Trainer(book, preset="bigram", compile="on", max_steps=2, sample_tokens=0)
    list(trainer.steps())
    assert "not compiled: the model has no blocks" in trainer.notes


@pytest.mark.slow
def test_auto_without_a_compiler_goes_on_eagerly(book, no_compiler):
    """A run of two hours asks for one, and says that there is none."""
    run = start_run(config(book, max_steps=None, minutes=120, device="cpu"))
    until(run, lambda: NO_COMPILER in run.status().notes)
    step = run.status().step
    until(run, lambda: run.status().step > step + 5)
    run.request("stop")
    assert ended(run).state == "stopped"


@pytest.mark.slow
def test_auto_with_a_compiler_that_fails_goes_on_eagerly(book, broken_compiler):
    """The step in which it failed is computed eagerly, and counts."""
    run = start_run(config(book, max_steps=None, minutes=120, device="cpu", eval_interval=5))
    noted = lambda: [n for n in run.status().notes if n.startswith("not compiled: ")]  # noqa: E731
    until(run, noted)
    step = run.status().step
    until(run, lambda: run.status().step > step + 5)
    run.request("stop")
    assert ended(run).state == "stopped" and "Traceback" not in run.log.read_text()
    rows = list(metric_rows(run))
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.slow
def test_auto_measures_and_decides(book, tmp_path):
    """It says what came of it, keeps that in the checkpoint, and does not ask again."""
    trainer = Trainer(book, **QUICK | dict(max_steps=None, minutes=120.0, eval_interval=10**6))
    for metrics in trainer.steps():
        if found := [note for note in trainer.notes if "compiled: " in note]:
            break
        assert metrics.step < 500
    kept = trainer.setup.gradients.blocks.on
    assert found[0].startswith("compiled: " if kept else "not compiled: tried for ")
    save_checkpoint(trainer, tmp_path / "last")
    resumed = Trainer(config=trainer.config)
    load_checkpoint(resumed, tmp_path / "last")
    assert resumed.setup.gradients.blocks.on == kept and found[0] in resumed.notes
    steps = resumed.steps()
    for _ in range(20):
        next(steps)
    assert resumed.setup.gradients.blocks.on == kept
    assert resumed.setup.gradients.blocks.graphs == kept


def test_on_without_a_compiler_is_refused_before_there_is_a_run(book, no_compiler, home):
    """In a line, by the command line and from Python."""
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", "train", str(book), "--compile", "on", "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line, *hint) = done.stderr.strip().splitlines()
    assert "compile on cannot be done: no C++ compiler: /nowhere/g++" in line
    assert "--compile auto" in " ".join((line, *hint)) and len(hint) <= 1
    assert not list_runs()
    with pytest.raises(UsageError, match="compile on cannot be done"):
        Trainer(book, **QUICK, compile="on").run(quiet=True)
    assert not list_runs()


@pytest.mark.slow
def test_a_short_run_loads_no_compiler_and_says_nothing(book, tmp_path):
    """Nor does one that was told not to compile."""
    program = (
        "import sys; from tuillm import Trainer\n"
        "t = Trainer(sys.argv[1], preset='nano', tokenizer='char', max_steps=20, sample_tokens=0)\n"
        "list(t.steps())\n"
        "print('torch._inductor.compile_fx' in sys.modules, [n for n in t.notes if 'compil' in n])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(book)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False []"


class Bench:
    """A choice that is told how long steps take on a machine that compiles for 30 seconds."""

    def __init__(self, wanted="auto", device="cpu", excluded=""):
        self.blocks = CompiledBlocks(GPT(GPTConfig(8, 8, 1, 1, 8)))
        self.compile_choice = CompileChoice(wanted, device, self.blocks, excluded)

    def steps(self, count, eager, compiled, left):
        for _ in range(count):
            seconds = eager
            if self.blocks.on:
                seconds = compiled
                if not self.blocks.graphs:
                    self.blocks.graphs, seconds = 1, compiled + 30.0
            self.compile_choice.after_step(seconds, left)
        return self


@pytest.mark.parametrize(
    "eager, compiled, words",
    [
        (1.0, 0.5, "compiled: 2.00 times as fast, after 30 s of compiling"),
        (1.0, 1.25, "not compiled: tried for 30 s, and compiled steps were 0.80 times as fast as "),
        (1.0, 0.99, "not compiled: tried for 30 s, and compiled steps were 1.01 times as fast as "),
        (20.0, 15.0, "compiled: 1.33 times as fast, after 25 s of compiling"),
    ],
)
def test_it_is_kept_where_steps_become_faster(eager, compiled, words):
    """After steps of both kinds; of slow ones fewer."""
    bench = Bench().steps(60, eager, compiled, left=7200.0)
    assert bench.compile_choice.words.startswith(words)
    assert bench.blocks.on == words.startswith("compiled")
    other = Bench()
    other.compile_choice.load_state(bench.compile_choice.state())
    assert (
        other.compile_choice.words == bench.compile_choice.words
        and other.blocks.on == bench.blocks.on
    )
    assert other.steps(60, eager, compiled, 7200.0).blocks.on == bench.blocks.on


@pytest.mark.parametrize("device, least", [("cpu", 3600), ("cuda", 120)])
def test_it_is_not_tried_where_the_time_left_cannot_repay_it(monkeypatch, device, least):
    """Nor where nobody knows how much is left; a run that is extended is asked again."""
    monkeypatch.setattr("tuillm.training.compile_choice.missing_compiler", lambda device: "")
    bench = Bench(device=device)
    for left in (None, 0.0, least):
        bench.steps(40, 0.1, 0.05, left)
        assert not bench.blocks.graphs and not bench.compile_choice.words
    assert bench.steps(60, 0.1, 0.05, least + 1.0).blocks.on


def test_a_run_goes_on_eagerly_where_there_is_no_compiler(no_compiler):
    """One that was compiled on another machine, and one that was set to be."""
    decided = Bench().compile_choice
    decided.load_state({"compiled": True, "times": 1.5, "compile_seconds": 20.0})
    assert decided.words == NO_COMPILER and not decided._blocks.on
    assert decided.state()["compiled"]  # a machine that has one computes so again
    set_on = Bench("on")
    assert set_on.compile_choice.words == NO_COMPILER and not set_on.blocks.on


@pytest.mark.slow
def test_a_compiled_run_is_resumed_where_there_is_no_compiler(book, monkeypatch):
    """Eagerly, with a note."""
    settings = config(book, compile="on", device="cpu", max_steps=20)
    run = create_run(settings, this_process())
    with run.take():
        runner = Runner(Trainer(config=settings), run, tell=lambda metrics: runner.stop())
        runner.run()
    assert run.status().state == "stopped"
    monkeypatch.setenv("CXX", "/nowhere/g++")
    resume_run(run)
    status = ended(run)
    assert status.state == "finished" and NO_COMPILER in status.notes, run.log.read_text()


def test_a_failure_ends_a_run_that_was_to_be_compiled():
    """And no other."""
    for wanted in ("on", "auto"):
        bench = Bench(wanted)
        bench.steps(20, 0.1, 0.1, 7200.0)
        bench.blocks.fail(RuntimeError("no room\nfor more"))
        if wanted == "auto":
            bench.steps(20, 0.1, 0.1, 7200.0)
            assert bench.compile_choice.words == "not compiled: RuntimeError: no room"
            assert not bench.blocks.on
            continue
        with pytest.raises(TuillmError, match="could not be compiled: RuntimeError: no room"):
            bench.compile_choice.after_step(0.1, 7200.0)
