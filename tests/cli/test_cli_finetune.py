"""`tuillm train --from --lora` as a person types it, up to the comparison it offers at the end."""

import json
import shlex

import pytest
from cli.test_cli_verbs import one_line, tuillm

from tuillm.cli.compare_hint import comparing
from tuillm.config import build_train
from tuillm.store.process_id import this_process
from tuillm.store.registry import shape_of
from tuillm.store.run_folder import create_run
from tuillm.store.run_status import Status


@pytest.fixture
def story(tmp_path, book_text):
    """A text named otherwise than the model."""
    path = tmp_path / "story.txt"
    path.write_text(book_text[:9000], encoding="utf-8")
    return path


@pytest.mark.slow
def test_before_and_after(model, story):
    """The end says how good both are, and the command it offers lets both go on with the text."""
    done = tuillm(
        "train",
        story,
        "--from",
        model,
        "--lora",
        "--lora-targets",
        "c_attn,c_fc",
        "--max-steps",
        6,
        "--sample-tokens",
        0,
    )
    assert done.returncode == 0, done.stderr
    assert "bits/byte (before: " in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "side by side: " in line]
    program, *command = shlex.split(line.partition("side by side: ")[2])
    assert (program, *command[:3]) == ("tuillm", "compare", "book", "story")
    assert command[4] in " ".join(story.read_text(encoding="utf-8").split())
    assert 2 <= len(command[4].split()) <= 5
    compared = tuillm(*command, "--json", "-n", 4)
    assert compared.returncode == 0, compared.stderr
    assert [each["name"] for each in json.loads(compared.stdout)["models"]] == ["book", "story"]
    shown = json.loads(tuillm("show", "story", "--json").stdout)
    assert shown["lora"] == "rank 8, alpha 16, on c_attn, c_fc"


def test_what_lora_cannot_do_is_told_in_a_line(book):
    """Without a model to start from there is nothing to adapt."""
    done = tuillm("train", book, "--lora")
    assert "lora needs a model to start from: --from MODEL" in one_line(done, code=2)


def test_no_comparison_where_there_is_nothing_to_compare(model, story):
    """A model that took its parent's place, or had none, is offered none; odd words are quoted."""
    parent = dict(corpus=str(story), init_from=model)
    run = create_run(build_train(parent, shape_of=shape_of), this_process())
    assert comparing(run, Status(model=model)) == ""
    assert comparing(run, Status(model=None)) == ""
    assert comparing(run, Status(model="story")).startswith("tuillm compare book story -p '")
    story.write_text("-- no sentence\x1b here")
    assert comparing(run, Status(model="story")).endswith(" -p The --seed 1")
    story.unlink()
    assert comparing(run, Status(model="story")) == "tuillm compare book story -p The --seed 1"
    fresh = create_run(build_train({"corpus": str(story)}), this_process())
    assert comparing(fresh, Status(model="story")) == ""
