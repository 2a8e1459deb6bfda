"""Runs that take more steps than they were started for: schedule, checkpoints, run folder."""

import json
from typing import Any

import pytest
from training.test_worker_process import no_worker_left, wait_for, wait_for_end, wait_for_steps  # noqa: F401

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.files import append_json, remove_folder
from tuillm.store.jsonl import read_rows
from tuillm.store.registry import get_model, list_models
from tuillm.store.run_folder import get_run, metric_rows
from tuillm.store.workers.launch import resume_run, start_run
from tuillm.training.checkpoint import load_checkpoint, save_checkpoint
from tuillm.training.runner import Runner
from tuillm.training.schedule import lr_factor

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = dict(
    preset="nano",
    max_steps=12,
    sample_tokens=4,
    tokenizer="char",
    dtype="float32",
    dropout=0.2,
    eval_interval=4,
)


def history(metrics):
    """What must not depend on the clock."""
    return [(m.step, m.train_loss, m.val_loss, m.lr) for m in metrics]


def losses(run):
    return [(row["step"], row["train_loss"], row.get("val_loss")) for row in metric_rows(run)]


def extended(trainer, by):
    """The steps of a trainer that is extended when it has taken its last one."""
    metrics = []
    for each in trainer.steps():
        metrics.append(each)
        if each.last and not trainer.extended_steps:
            trainer.extend(by)
    return metrics


def test_the_longer_schedule_holds_from_then_on(book):
    """Rate, progress and end are those of max_steps + N, and the status tells why the rate rises.

    An extension in the middle and one at the end lead to the same schedule.
    """
    for moment in (5, 12):
        trainer = Trainer(book, **QUICK)
        longer = trainer.config.model_copy(update={"max_steps": 20})
        for metrics in trainer.steps():
            if metrics.step > moment:
                factor = lr_factor(longer, metrics.step - 1, (metrics.step - 1) / 20)
                assert metrics.lr == pytest.approx(longer.learning_rate * factor)
                assert metrics.progress == metrics.step / 20
            if metrics.step == moment:
                trainer.extend(3)
                trainer.extend(5)
        assert (metrics.step, metrics.last, trainer.extended_steps) == (20, "finished", 8)
        assert [note for note in trainer.notes if "extended" in note] == [
            "extended by 8 steps: the learning rate rises again to what the longer schedule says"
        ]
        assert trainer.config.max_steps == 12


def test_an_extended_run_evaluates_on(book):
    """The ten evaluations of a run are counted anew over the longer way."""
    trainer = Trainer(book, **QUICK | {"eval_interval": None})
    metrics = extended(trainer, 12)
    evaluated = [m.step for m in metrics if m.val_loss is not None]
    assert {24} < {step for step in evaluated if step > 12} and evaluated[-1] == 24


def on_the_clock(book):
    """A trainer that stops after some ten steps, by the clock."""
    return Trainer(book, **QUICK | {"max_steps": None, "minutes": 0.005})


def test_a_run_on_the_clock_takes_exactly_so_many_steps_more(book):
    """Whenever it is extended, N steps follow where the clock ended it, and the rate falls to 0."""
    finished = on_the_clock(book)
    metrics = extended(finished, 7)
    (ended, last) = [m.step for m in metrics if m.last]
    assert last == ended + 7 == metrics[-1].step
    assert 0 < metrics[-1].lr < metrics[-4].lr
    going = on_the_clock(book)
    going.extend(5)
    steps = [(m.step, m.progress, m.elapsed) for m in going.steps()]
    beyond = [step for step, _, elapsed in steps if elapsed >= 0.3]
    assert 5 <= len(beyond) <= 6 and steps[-1][1] == 1
    assert all(0 < progress < 1 for _, progress, _ in steps[:-1])
    assert [progress for _, progress, _ in steps] == sorted(progress for _, progress, _ in steps)


def test_extended_again_and_again(book):
    """A run that was extended, and ended, takes exactly so many steps more the next time."""
    trainer, ends = on_the_clock(book), []
    for metrics in trainer.steps():
        if metrics.last:
            ends.append(metrics.step)
            if len(ends) < 4:
                trainer.extend(3)
    assert [after - before for before, after in zip(ends, ends[1:], strict=False)] == [3, 3, 3]


def test_patience_begins_anew(book):
    """A run that patience ended goes on, and ends again by as many evaluations without gain."""
    # steps so small that nothing is ever gained
    trainer = Trainer(
        book,
        preset="nano",
        optimizer="adamw",
        learning_rate=1e-30,
        weight_decay=0,
        eval_interval=1,
        patience=2,
        max_steps=60,
        sample_tokens=0,
    )
    metrics = extended(trainer, 5)
    assert [(m.step, m.last) for m in metrics if m.last] == [(3, "patience"), (5, "patience")]
    assert metrics[-1].step == 5


def test_a_checkpoint_keeps_the_extension(book, tmp_path):
    """Extended, interrupted and resumed is step by step what an undisturbed extension gives."""
    undisturbed = history(extended(Trainer(book, **QUICK), 8))
    first, found = Trainer(book, **QUICK), []
    for metrics in first.steps():
        found.append(metrics)
        if metrics.step == 12:
            first.extend(8)
        if metrics.step == 15:
            break
    save_checkpoint(first, tmp_path / "last")
    second = Trainer(book, **QUICK)
    load_checkpoint(second, tmp_path / "last")
    assert second.extended_steps == 8 and "extended by 8 steps" in second.notes[-1]
    assert history(found + list(second.steps())) == undisturbed


def test_a_checkpoint_from_before_there_were_extensions(book, tmp_path):
    """A trainer.json without the newer numbers is that of a run never extended."""
    trainer = Trainer(book, **QUICK)
    next(trainer.steps())
    save_checkpoint(trainer, tmp_path / "last")
    numbers = json.loads((tmp_path / "last" / "trainer.json").read_text())
    for key in ("before", "extended_steps", "ended_at"):
        del numbers[key]
    (tmp_path / "last" / "trainer.json").write_text(json.dumps(numbers))
    second = Trainer(book, **QUICK)
    load_checkpoint(second, tmp_path / "last")
    assert [m.step for m in second.steps()] == [*range(2, 13)]


def test_a_finished_run_goes_on(book):
    """A finished run takes N more steps and publishes over its model; stopped, it keeps them.

    run.json stays as it is, marks in metrics.jsonl tell where it was taken up, and the losses
    are those of a run extended without being disturbed.
    """
    settings = QUICK | {"max_steps": 40, "eval_interval": 100}
    expected = extended(Trainer(book, **settings), 120)
    Trainer(book, **settings).run()
    run = get_run("book-1")
    written = (run.path / "run.json").read_bytes()
    assert resume_run(run, extend=120) == 40
    wait_for_steps(run, 50)
    assert run.status().extended_steps == 120
    run.request("stop")
    stopped = wait_for_end(run)
    assert (stopped.state, stopped.extended_steps, stopped.model) == ("stopped", 120, "book")
    assert 40 < stopped.step < 160
    run.control.unlink()  # as whoever resumes a run does
    Runner(Trainer(config=run.config), run, resume=True).run()
    finished = run.status()
    assert (finished.state, finished.step, finished.progress) == ("finished", 160, 1)
    assert finished.extended_steps == 120
    assert any("rises again" in note for note in finished.notes)
    assert losses(run) == [
        (row["step"], row["train_loss"], row.get("val_loss")) for row in (m.row() for m in expected)
    ]
    marks = [row for row in read_rows(run.metrics)[0] if "step" not in row]
    assert [mark["resumed"] for mark in marks] == [40, stopped.step]
    assert all(mark["time"] > finished.created for mark in marks)
    assert (run.path / "run.json").read_bytes() == written
    assert [model.name for model in list_models()] == ["book"]
    assert get_model("book").card.steps == finished.best_step


def test_a_run_that_is_going_is_extended(book):
    """A run takes an extension while it is paused, shows it at once, and stays paused."""
    run = start_run(build_train({"corpus": str(book)} | QUICK | {"max_steps": 30}))
    run.request("pause")
    wait_for(run, lambda: run.status().state == "paused", "the pause")
    before = run.status()
    append_json(run.control, {"request": "extend", "steps": -4})
    run.request("extend", steps=10)
    wait_for(run, lambda: run.status().extended_steps == 10, "the extension")
    status = run.status()
    assert (status.state, status.step) == ("paused", before.step)
    assert status.progress == pytest.approx(before.step / 40)
    assert json.loads((run.last / "trainer.json").read_text())["extended_steps"] == 10
    run.request("resume")
    finished = wait_for_end(run)
    assert (finished.state, finished.step) == ("finished", 40)
    assert finished.elapsed < finished.heartbeat - finished.created


class Asking(Trainer):
    """A trainer during whose last step, or while whose end is saved, more steps are asked for."""

    when = ""
    asked = False

    def sample(self, tokens=None):
        self._ask("last step")
        return super().sample(tokens)

    def state(self):
        self._ask("end")
        return super().state()

    def _ask(self, moment):
        if self.when == moment and self.step == 12 and not self.asked:
            self.asked = True
            get_run("book-1").request("extend", steps=5)


@pytest.mark.parametrize("when", ["last step", "end"])
def test_an_extension_asked_for_at_the_last_moment(book, when):
    """What is asked of a run before its state is `finished` is done, and published once."""
    trainer = Asking(book, **QUICK)
    trainer.when = when
    model = trainer.run()
    status = get_run("book-1").status()
    assert (status.state, status.step, status.extended_steps) == ("finished", 17, 5)
    assert [found.name for found in list_models()] == [model.name] == ["book"]
    assert [step for step, *_ in losses(get_run("book-1"))] == [*range(1, 18)]


def test_an_extension_of_a_run_that_begins_anew(book):
    """A run whose checkpoint is gone can only begin anew: then it takes the added steps as well."""
    Trainer(book, **QUICK).run()
    run = get_run("book-1")
    remove_folder(run.last)
    with pytest.raises(TuillmError, match="no checkpoint to go on from"):
        resume_run(run, extend=3)
    run.request("extend", 3)
    Runner(Trainer(config=run.config), run).run()
    finished = run.status()
    assert (finished.state, finished.step, finished.extended_steps) == ("finished", 15, 3)


def test_an_extension_outlives_workers_that_could_not_begin(book):
    """Steps asked for of a run whose text is away for a while are taken when it is there again."""
    hidden = book.with_suffix(".away")
    run = start_run(build_train({"corpus": str(book)} | QUICK))
    wait_for_end(run)
    book.rename(hidden)
    resume_run(run, extend=3)
    assert wait_for_end(run).state == "failed"
    run.request("extend", 2)
    hidden.rename(book)
    resume_run(run)
    status = wait_for_end(run)
    assert (status.state, status.step, status.extended_steps) == ("finished", 17, 5)
    assert resume_run(run, extend=1) == 17  # what has been done is not done again
    assert wait_for_end(run).step == 18
