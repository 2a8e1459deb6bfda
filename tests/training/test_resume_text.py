"""A run that is taken up again learns the text it began with, with the tokenizer it began with."""

import json
import subprocess
import sys
from typing import Any

import pytest
from training.test_worker_process import no_worker_left, wait_for_end  # noqa: F401

from tuillm import Trainer
from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.process_id import this_process
from tuillm.store.registry import get_model, shape_of
from tuillm.store.run_folder import Run, create_run, metric_rows
from tuillm.store.workers.launch import resume_run
from tuillm.text import load_tokenizer
from tuillm.text.training_text import corpus_of
from tuillm.training.resume import resume, text_of
from tuillm.training.runner import Runner

QUICK: dict[str, Any] = dict(
    preset="nano", max_steps=12, sample_tokens=0, dtype="float32", eval_interval=4
)


def stopped_run(book, **settings):
    """A run that was stopped after some steps, and a changed text where its own was."""
    config = build_train({"corpus": str(book)} | QUICK | settings, shape_of=shape_of)
    run = create_run(config, this_process())
    trainer = Trainer(config=config)
    sample = trainer.sample

    def stop(tokens=None):
        run.request("stop")
        return sample(tokens)

    trainer.sample = stop  # the first evaluation, at step 4
    Runner(trainer, run).run()
    assert run.status().state == "stopped" and run.status().step == 4
    return run


def changed(text):
    """The same book with another first word, and so other pieces."""
    return "Zyzzyva " * 400 + text[500:]


def go_on(run, *, stop=False, **options):
    """Take a run up again in this process, for one step if it is to `stop`; return its status."""
    run.control.unlink(missing_ok=True)  # as whoever resumes a run does
    trainer = Trainer(config=run.config)
    begin = trainer.measure_before
    if stop:

        def stop_first(*given):
            run.request("stop")
            begin()

        trainer.measure_before = stop_first
    Runner(trainer, run, resume=True, **options).run()
    return run.status()


def losses(run):
    return [(row["step"], row["train_loss"], row.get("val_loss")) for row in metric_rows(run)]


@pytest.mark.parametrize("settings", [{}, {"tokenizer": "char"}], ids=str)
def test_a_changed_text_is_refused(book, book_text, settings):
    """In one line that names the text and what to do; the run stays as it is, no worker starts."""
    run = stopped_run(book, **settings)
    book.write_text(changed(book_text), encoding="utf-8")
    before = (run.path / "status.json").read_bytes()
    for extend in (0, 5):
        with pytest.raises(TuillmError, match="book.txt has changed since 'book-1' began") as said:
            resume(run, extend=extend)
        assert "--corpus PATH" in said.value.hint and "--changed-text" in said.value.hint
        assert "\n" not in str(said.value)
    assert (run.path / "status.json").read_bytes() == before
    assert not (run.path / "corpus.json").exists()


def test_a_changed_text_is_learned_when_told_to(book, book_text):
    """The tokenizer stays, what was measured before is forgotten, and a note says so."""
    run = stopped_run(book)
    spec = load_tokenizer(run.last).spec
    book.write_text(changed(book_text), encoding="utf-8")
    old = text_of(run)
    status = go_on(run, changed_text=True)
    assert (status.state, status.step) == ("finished", 12)
    assert load_tokenizer(run.last).spec == spec
    assert any("the text has changed" in note for note in status.notes)
    assert status.best_step > 4 and get_model("book").card.steps == status.best_step
    assert text_of(run) == get_model("book").card.corpus_sha256 != old


def test_a_run_stopped_right_after_its_text_changed(book, book_text):
    """What it publishes is what it says: the weights of its last step with their own loss."""
    run = stopped_run(book)
    book.write_text(changed(book_text), encoding="utf-8")
    status = go_on(run, stop=True, changed_text=True)
    assert (status.state, status.step, status.best_step) == ("stopped", 5, 5)
    model = get_model("book")
    assert model.card.val_loss == status.val_loss and model.card.steps == 5
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model.path, run.last)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("size", [300, 60_000])
def test_a_text_of_another_length(tmp_path, book_text, size):
    """The context stays too, whether the text that is there now is shorter or longer."""
    path = tmp_path / "book.txt"
    path.write_text(book_text[:100])
    run = stopped_run(path, tokenizer="char")
    context = json.loads((run.last / "config.json").read_text())["n_positions"]
    path.write_text((book_text * 3)[:size])
    assert go_on(run, changed_text=True).step == 12
    assert get_model("book").config["n_positions"] == context < 32


@pytest.mark.slow
def test_a_moved_text_goes_on_exactly(book, tmp_path):
    """The same text at another place is named once; the losses are those of an undisturbed run.

    run.json stays as it is, and whoever looks for the text later finds it.
    """
    config = build_train({"corpus": str(book)} | QUICK)
    undisturbed = [
        (row["step"], row["train_loss"], row.get("val_loss"))
        for row in (m.row() for m in Trainer(config=config).steps())
    ]
    run = stopped_run(book)
    written = (run.path / "run.json").read_bytes()
    moved = tmp_path / "elsewhere" / "novel.txt"
    moved.parent.mkdir()
    book.rename(moved)
    with pytest.raises(TuillmError, match="book.txt does not exist") as said:
        resume(run)
    assert "tuillm runs resume book-1 --corpus PATH" in said.value.hint
    assert resume(run, corpus=(str(moved),)) == 4
    assert wait_for_end(run).state == "finished"
    assert losses(run) == undisturbed
    assert (run.path / "run.json").read_bytes() == written
    assert run.config.corpus == (str(moved),)
    assert corpus_of(get_model("book")).corpus.label == "novel.txt"
    assert resume(run, extend=2) == 12
    assert wait_for_end(run).step == 14


def test_another_text_is_not_taken_for_the_moved_one(book, tmp_path, book_text):
    """A text named with --corpus that is another one is refused, and the run does not forget."""
    run = stopped_run(book)
    other = tmp_path / "other.txt"
    other.write_text(changed(book_text), encoding="utf-8")
    with pytest.raises(TuillmError, match="other.txt is not the text that 'book-1' began") as said:
        resume(run, corpus=(str(other),))
    assert f"--corpus {other} --changed-text" in said.value.hint
    with pytest.raises(TuillmError, match="nowhere.txt does not exist"):
        resume(run, corpus=(str(tmp_path / "nowhere.txt"),))
    assert run.config.corpus == (str(book),)


@pytest.mark.slow
def test_the_worker_looks_at_the_text_itself(book, book_text):
    """However a worker was started, another text than the checkpoint's ends it in one line."""
    run = stopped_run(book)
    book.write_text(changed(book_text), encoding="utf-8")
    resume_run(run)
    status = wait_for_end_of_any_kind(run)
    assert status.state == "failed" and "is not the text that" in status.error
    assert "Traceback" not in run.log.read_text()
    assert len(losses(run)) == 4


def wait_for_end_of_any_kind(run):
    from tuillm.store.workers.processes import _started

    _started[-1].wait(60)
    return run.status()


def test_a_checkpoint_from_before_texts_were_compared(book, book_text):
    """Where the checkpoint keeps no hash, the card of the model it published does."""
    run = stopped_run(book)
    path = run.last / "trainer.json"
    numbers = json.loads(path.read_text())
    del numbers["corpus_sha256"]
    path.write_text(json.dumps(numbers))
    book.write_text(changed(book_text), encoding="utf-8")
    with pytest.raises(TuillmError, match="has changed since"):
        resume(run)


@pytest.mark.parametrize("lora", [False, True])
def test_a_fine_tuned_run(book, book_text, model, lora):
    """The same holds for a run that started from a model, which may be gone by then."""
    run = stopped_run(book, init_from=model, preset="finetune", name="mine", lora=lora)
    book.write_text(changed(book_text), encoding="utf-8")
    with pytest.raises(TuillmError, match="has changed since 'mine-1' began"):
        resume(run)
    assert go_on(run, changed_text=True).state == "finished"
    book.write_text(book_text, encoding="utf-8")
    with pytest.raises(TuillmError, match="has changed since 'mine-1' began"):
        resume(run, extend=3)


@pytest.mark.parametrize(
    "key, value",
    [
        ("step", "x"),
        ("step", None),
        ("best", 7),
        ("tenths", []),
        ("elapsed", {}),
        ("epoch", "x"),
        ("position", None),
    ],
)
def test_a_checkpoint_with_wrong_types(book, key, value):
    """Numbers that are none are damage, told in one line."""
    run = stopped_run(book)
    path = run.last / "trainer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(TuillmError, match="is damaged"):
        if key == "step":
            resume(run)
        go_on(run)


@pytest.mark.slow
def test_the_commands(book, book_text, tmp_path):
    """`runs resume` and `runs extend` refuse with exit code 1 and say what to type."""
    run = stopped_run(book)
    book.rename(tmp_path / "away.txt")

    def runs(*arguments):
        return subprocess.run(
            [sys.executable, "-P", "-m", "tuillm", "runs", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )

    for arguments in (("resume", run.id), ("extend", run.id, "7")):
        done = runs(*arguments)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") <= 2
        assert f"tuillm runs {' '.join(arguments)} --corpus PATH" in done.stderr
    assert run.status().state == "stopped"
    done = runs("resume", run.id, "--corpus", str(tmp_path / "away.txt"))
    assert done.returncode == 0 and "goes on from step 4" in done.stdout
    assert wait_for_end(Run(run.id, run.path)).state == "finished"


def test_looking_at_the_text_takes_no_torch():
    """The dashboard resumes runs from its own process."""
    code = "import tuillm.training.resume, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_of_another_shape_are_told_as_such(book):
    """A run whose settings were changed by hand is not called damaged."""
    run = stopped_run(book)
    path = run.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_embd": 96}))
    with pytest.raises(TuillmError, match="the run's settings make n_embd 96, and its checkpoint"):
        go_on(run)
