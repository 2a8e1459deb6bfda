"""`tuillm train --from` and `tuillm runs extend` as a person types them."""

import json

import pytest
from cli.test_cli_verbs import leftovers, one_line, tuillm

from tuillm.store.files import append_json
from tuillm.store.process_id import this_process
from tuillm.store.run_folder import create_run
from tuillm.store.run_status import Status


@pytest.fixture
def story(tmp_path, book_text):
    """A text named otherwise than the model."""
    path = tmp_path / "story.txt"
    path.write_text(book_text[:9000], encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_model_is_grown_from_another_and_extended(model, story):
    """--from starts from a model and says how good it was; extend lets the run go on."""
    to_the_end = ("--max-steps", 6, "--patience", 0, "--sample-tokens", 4)
    done = tuillm("train", story, "--from", model, *to_the_end)
    assert done.returncode == 0, done.stderr
    assert "note: before training: " in done.stdout and "tuillm chat story" in done.stdout
    shown = json.loads(tuillm("show", "story", "--json").stdout)
    assert (shown["origin"], shown["parent"]) == ("fine-tuned", "book") and shown["steps"] <= 6
    extended = tuillm("runs", "extend", "story-1", 5)
    assert extended.returncode == 0 and "goes on from step 6 for 5 steps more" in extended.stdout
    watched = tuillm("runs", "attach", "story-1", "--json-lines")
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == [*range(1, 12)]
    assert [event["resumed"] for event in events if event["event"] == "resumed"] == [6]
    assert (events[-1]["state"], events[-1]["extended_steps"]) == ("finished", 5)
    plain = tuillm("runs", "attach", "story-1")
    assert plain.returncode == 0 and "step 11" in plain.stdout and "rises again" in plain.stdout
    settings = tuillm("runs", "show", "story-1").stdout
    assert "extended steps" in settings and "'book'" in settings
    for wrong in ("-5", "abc", "0"):
        assert f"'{wrong}' is no number of steps" in one_line(
            tuillm("runs", "extend", "story-1", wrong), code=2
        )
    assert "tuillm runs extend story-1 STEPS" in one_line(tuillm("runs", "resume", "story-1"))


def test_the_live_view_passes_over_the_mark_of_a_resume(terminal, book):
    """A run that was taken up again is drawn like any other."""
    from tuillm.config import build_train

    run = create_run(build_train({"corpus": str(book)}), this_process())
    row = {"train_loss": 2.5, "elapsed": 1.0, "tokens_per_sec": 1e3, "epoch": 1.0}
    for step in (1, 2):
        append_json(run.metrics, {"step": step} | row)
    append_json(run.metrics, {"resumed": 1, "time": 0.0})
    append_json(run.metrics, {"step": 2} | row)
    run.write_status(Status(state="finished", step=2, model="book"))
    opened = terminal("runs", "attach", run.id)
    opened.wait("finished after 2 steps")
    assert opened.wait_end() == 0 and "2.500" in opened.text


def test_an_active_run_is_asked(book):
    """A run that is going is asked to take more steps; a paused one stays so, and that is said."""
    from tuillm.config import build_train

    run = create_run(build_train({"corpus": str(book)}), this_process())
    assert tuillm("runs", "extend", run.id, 20).stdout == "asked book-1 to take 20 steps more\n"
    run.write_status(run.status().model_copy(update={"state": "paused"}))
    assert "tuillm runs resume book-1" in tuillm("runs", "extend", run.id, 1000).stdout
    rows = [json.loads(line) for line in run.control.read_text().splitlines()]
    assert [(row["request"], row["steps"]) for row in rows] == [("extend", 20), ("extend", 1000)]


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "BOOK", "--from", "bok"], 1, "no model named 'bok' (did you mean 'book'?)"),
        (
            ["train", "BOOK", "--from", "book", "--n-layer", "6"],
            2,
            "n_layer cannot be 6: the model 'book' has 2",
        ),
        (
            ["train", "BOOK", "--from", "book", "--config", "TOML"],
            2,
            "n_head cannot be 3: the model 'book' has 2",
        ),
        (
            ["train", "BOOK", "--from", "book", "--lora-rank", "4"],
            2,
            "lora_rank is about LoRA, which is off (add --lora)",
        ),
        (["train", "BOOK", "--from", "cut"], 1, "model 'cut' cannot be used"),
        (["train", "BOOK", "--from", "torn"], 1, "tokenizer.json is damaged"),
        (["runs", "extend", "none", "5"], 1, "no run named 'none'"),
        (["runs", "extend", "none", "0"], 2, "'0' is no number of steps"),
        (["runs", "extend", "none", "many"], 2, "many"),
        (["eval", "book"], 2, "tuillm eval book TEXT"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, code, words, model, story, home, tmp_path):
    """Unknown and damaged models and settings that are not theirs are refused before a run."""
    (tmp_path / "run.toml").write_text("n_head = 3\n")
    for name, file in (("cut", "model.safetensors"), ("torn", "tokenizer.json")):
        if name in arguments:
            assert tuillm("cp", "book", name).returncode == 0
            path = home / "models" / name / file
            path.write_bytes(path.read_bytes()[:1000])
    before = leftovers(home)
    known = {"BOOK": str(story), "TOML": str(tmp_path / "run.toml")}
    assert words in one_line(tuillm(*[known.get(word, word) for word in arguments]), code)
    assert leftovers(home) == before
