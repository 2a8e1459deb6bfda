"""The registry of models: whole folders under names, damaged ones told and never hiding others."""

import json
import os
import subprocess
import sys

import pytest

from tuillm.errors import TuillmError, UsageError
from tuillm.store.export_folder import export_model
from tuillm.store.registry import (
    copy_model,
    find_model,
    free_name,
    get_model,
    list_models,
    read_model_entry,
    remove_model,
    rename_model,
)


def names():
    """The names in the registry, in the order they are listed."""
    return [model.name for model in list_models()]


def test_an_empty_registry_lists_nothing(home):
    """Listing before anything was trained finds nothing and creates nothing."""
    assert list_models() == []
    assert not home.exists()


def test_models_are_listed_by_name_with_their_facts(add_model):
    """A published model comes back with its card, shape and size."""
    add_model("zebra")
    path = add_model("ant", origin="trained", corpus="ant.txt", val_loss=1.5, stop=("END",))
    ant, zebra = list_models()
    assert (ant.name, zebra.name) == ("ant", "zebra")
    assert (ant.card.origin, ant.card.val_loss, ant.card.stop) == ("trained", 1.5, ("END",))
    assert ant.card.created is not None
    assert ant.config["n_positions"] == 8
    assert ant.size == sum(entry.stat().st_size for entry in path.iterdir())
    assert ant.problem == ""


def test_a_model_as_json_is_flat_and_serializable(add_model):
    """What `show --json` prints has name, card and shape side by side."""
    add_model("ant", corpus="ant.txt")
    row = json.loads(json.dumps(get_model("ant").as_json()))
    assert (row["name"], row["corpus"], row["block_size"], row["problem"]) == (
        "ant",
        "ant.txt",
        8,
        None,
    )


def test_publishing_over_a_taken_name_is_refused(add_model):
    """The model that has the name stays as it was, and the hint says what to do."""
    add_model("ant", corpus="first")
    with pytest.raises(TuillmError, match="'ant' already exists") as caught:
        add_model("ant", corpus="second")
    assert "another name" in caught.value.hint
    assert get_model("ant").card.corpus == "first"


def test_publishing_with_replace_takes_the_place(add_model):
    """The new model stands alone under the name."""
    add_model("ant", corpus="first")
    add_model("ant", corpus="second", replace=True)
    assert names() == ["ant"]
    assert get_model("ant").card.corpus == "second"


def test_publishing_under_an_unfit_name_is_refused(add_model, home):
    """A name that climbs out of the registry writes nothing anywhere."""
    with pytest.raises(UsageError):
        add_model("../ant")
    assert not home.exists()


def test_of_several_processes_one_publishes_a_name(home):
    """Processes that publish one name at once do not share it: one wins, the others are told."""
    code = """
import sys
from tuillm.errors import TuillmError
from tuillm.store.card import ModelCard
from tuillm.store.registry import publish
from tuillm.store.files import write_json
print("ready", flush=True)
sys.stdin.readline()
try:
    with publish("ant", ModelCard(corpus=sys.argv[1])) as folder:
        write_json(folder / "config.json", {})
    print("won", sys.argv[1])
except TuillmError as error:
    print(error.message)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = sorted(process.communicate(timeout=20)[0].strip() for process in processes)
    assert told[:2] == ["a model named 'ant' already exists"] * 2
    assert told[2] == f"won {get_model('ant').card.corpus}"
    assert [entry.name for entry in (home / "models").iterdir()] == ["ant"]


@pytest.mark.parametrize("typed", ["moby-dik", "Moby-Dick", "mobydick"])
@pytest.mark.parametrize("look_up", [get_model, find_model, remove_model])
def test_an_unknown_model_names_the_nearest(add_model, look_up, typed):
    """A misspelt name is refused with the model it resembles."""
    add_model("moby-dick")
    with pytest.raises(TuillmError, match=f"no model named '{typed}'") as caught:
        look_up(typed)
    assert "'moby-dick'" in caught.value.hint


@pytest.mark.parametrize("name", ["", ".", "..", "../models/ant", "ant/", ".ant", "a\0", "x" * 300])
def test_a_name_that_is_no_entry_finds_nothing(add_model, name):
    """Names that climb, hide or cannot be file names find no model and do not crash."""
    add_model("ant")
    with pytest.raises(TuillmError, match="no model named"):
        get_model(name)
    with pytest.raises(TuillmError):
        remove_model(name)
    assert names() == ["ant"]


def test_an_empty_registry_says_how_to_grow_a_model():
    """With no model at all the hint is the command that makes one."""
    with pytest.raises(TuillmError) as caught:
        get_model("ant")
    assert "tuillm train" in caught.value.hint


def test_a_model_is_found_by_its_path(add_model, tmp_path):
    """A folder outside the registry is used where it lies."""
    os.rename(add_model("ant"), tmp_path / "elsewhere")
    assert find_model(tmp_path / "elsewhere").path == tmp_path / "elsewhere"
    assert names() == []


def test_a_registered_name_wins_over_a_folder_here(add_model, tmp_path, monkeypatch):
    """A folder of the same name in the working directory does not shadow the registry."""
    add_model("ant", corpus="registered")
    os.rename(add_model("other", corpus="here"), tmp_path / "ant")
    monkeypatch.chdir(tmp_path)
    assert find_model("ant").card.corpus == "registered"
    assert find_model("./ant").card.corpus == "here"


def test_renaming_moves_the_model(add_model):
    """The old name is free and the new one has the model."""
    add_model("ant", corpus="a")
    rename_model("ant", "bee")
    assert names() == ["bee"]
    assert get_model("bee").card.corpus == "a"


def test_copying_names_the_parent(add_model):
    """The copy is whole, names its source, and the source stays as it was."""
    source = add_model("ant", corpus="a")
    copy_model("ant", "bee")
    bee = get_model("bee")
    assert (bee.problem, bee.card.parent, bee.card.corpus) == ("", "ant", "a")
    assert get_model("ant").card.parent is None
    weights = "model.safetensors"
    assert (bee.path / weights).read_bytes() == (source / weights).read_bytes()


@pytest.mark.parametrize("change", [rename_model, copy_model])
def test_a_taken_or_unfit_new_name_is_refused(add_model, change):
    """Renaming and copying never write over another model."""
    add_model("ant", corpus="a")
    add_model("bee", corpus="b")
    with pytest.raises(TuillmError, match="'bee' already exists"):
        change("ant", "bee")
    with pytest.raises(UsageError):
        change("ant", "a/b")
    with pytest.raises(TuillmError, match="no model named"):
        change("cow", "dog")
    assert {model.name: model.card.corpus for model in list_models()} == {"ant": "a", "bee": "b"}


def test_removing_leaves_nothing(add_model, home):
    """A removed model is gone with its folder, and nothing else is."""
    add_model("ant")
    add_model("bee")
    remove_model("ant")
    assert names() == ["bee"]
    assert [entry.name for entry in (home / "models").iterdir()] == ["bee"]


def test_a_free_name_counts_on(add_model):
    """A taken name gets the first number from 2 on that is free."""
    assert free_name("ant") == "ant"
    add_model("ant")
    assert free_name("ant") == "ant-2"
    add_model("ant-2")
    assert free_name("ant") == "ant-3"
    add_model("x" * 64)
    assert len(free_name("x" * 64)) <= 64
    assert free_name("x" * 64) not in names()


def cut_short(path):
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage(file, action):
    """Return a function that damages one file of a model folder."""

    def apply(folder):
        action(folder / file)

    return apply


DAMAGES = {
    "config": (damage("config.json", lambda path: path.write_text("{")), "config.json is damaged"),
    "no config": (damage("config.json", os.unlink), "config.json is missing"),
    "config list": (damage("config.json", lambda path: path.write_text("[]")), "not a JSON object"),
    "weights": (damage("model.safetensors", cut_short), "model.safetensors is damaged"),
    "empty weights": (damage("model.safetensors", lambda path: path.write_bytes(b"")), "cut short"),
    "weights tail": (
        damage("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        "cut short",
    ),
    "weights header": (
        damage("model.safetensors", lambda path: path.write_bytes(b"\x04" + bytes(7) + b"{}{}")),
        "unreadable header",
    ),
    "no weights": (damage("model.safetensors", os.unlink), "model.safetensors is missing"),
    "no tokenizer": (damage("tokenizer.json", os.unlink), "tokenizer.json is missing"),
    "card": (damage("tuillm.json", lambda path: path.write_text("{")), "tuillm.json is damaged"),
    "card value": (
        damage("tuillm.json", lambda path: path.write_text('{"val_loss": "low"}')),
        "tuillm.json is damaged",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_model_is_listed_with_its_problem(add_model, what):
    """A damaged folder is named with what is wrong; the others are listed and it can be removed."""
    apply, words = DAMAGES[what]
    add_model("bee")
    apply(add_model("ant"))
    add_model("cow")
    problems = {model.name: model.problem for model in list_models()}
    assert words in problems["ant"]
    assert (problems["bee"], problems["cow"]) == ("", "")
    with pytest.raises(TuillmError, match="'ant' cannot be used") as caught:
        find_model("ant")
    assert "tuillm rm ant" in caught.value.hint
    remove_model("ant")
    assert names() == ["bee", "cow"]


def test_a_folder_without_a_card_is_a_model(add_model):
    """A Hugging Face folder put into the registry by hand needs no card of ours."""
    (add_model("ant") / "tuillm.json").unlink()
    model = find_model("ant")
    assert (model.problem, model.card.origin) == ("", "imported")


def test_a_folder_that_went_away_is_a_problem(tmp_path):
    """A folder removed by another process while it is read is told, not raised."""
    model = read_model_entry(tmp_path / "gone")
    assert "config.json is missing" in model.problem
    assert model.size == 0


def test_files_and_hidden_folders_are_no_models(add_model, home):
    """What lies around in the registry's folder is not listed."""
    add_model("ant")
    (home / "models" / "notes.txt").write_text("x")
    (home / "models" / ".ant.half").mkdir()
    assert names() == ["ant"]


def test_an_unwritable_registry_is_one_clear_error(add_model, tmp_path, monkeypatch):
    """A data directory that cannot be made is refused before anything is written."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TUILLM_HOME", str(tmp_path / "file" / "home"))
    assert list_models() == []
    with pytest.raises(TuillmError, match="cannot write to") as caught:
        add_model("ant")
    assert "TUILLM_HOME" in caught.value.hint


def test_a_model_hidden_by_a_crash_comes_back(add_model, home):
    """A crash between the two renames of a replacement leaves the old model to be found again."""
    add_model("book")
    hidden = home / "models" / ".book.old.0a1b2c3d" / "folder"
    hidden.parent.mkdir()
    os.rename(home / "models" / "book", hidden)
    assert get_model("book").problem == ""
    assert (home / "models" / "book").is_dir() and not hidden.exists()


def test_what_a_crash_left_half_made_goes_with_the_next_change(add_model, home):
    """Folders in the making or in the removing are cleared away; what is another's is not."""
    add_model("book")
    for name in (
        ".book.ab12_xyz",
        ".book.gone.ab12_xyz",
        ".book.old.ab12_xyz/folder",
        ".git",
        ".ipynb_checkpoints",
    ):
        (home / "models" / name).mkdir(parents=True)
    rename_model("book", "tale")
    assert sorted(path.name for path in (home / "models").iterdir()) == [
        ".git",
        ".ipynb_checkpoints",
        "tale",
    ]


def test_the_older_pair_of_files_is_a_tokenizer_too(add_model):
    """GPT-2's vocab.json with merges.txt does instead of a tokenizer.json; one alone does not."""
    folder = add_model("ant")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text("{}")
    assert "tokenizer.json is missing" in get_model("ant").problem
    (folder / "merges.txt").write_text("#version: 0.2\n")
    assert find_model("ant").problem == ""


def test_a_foreign_card_tells_no_secrets(add_model, tmp_path):
    """The addresses in it are read without them: they reach neither lists nor what is exported."""
    add_model(
        "ant",
        corpus="http://ann:hunter22@host/b.txt?sig=S1G",
        parent="https://a:b@h/c",
        source="see https://h/d?key=S1G",
    )
    card = get_model("ant").card
    assert (card.corpus, card.parent, card.source) == (
        "http://host/b.txt",
        "https://h/c",
        "see https://h/d",
    )
    export_model("ant", tmp_path / "out")
    assert "http://host/b.txt" in (readme := (tmp_path / "out" / "README.md").read_text())
    assert "hunter22" not in readme and "S1G" not in readme


def test_figures_that_no_model_has_are_not_told(add_model):
    """Losses and counts below 0, and those beyond all measure, are left out."""
    add_model("ant", val_loss=-1.0, bits_per_byte=1e300, steps=-5, corpus_bytes=7)
    card = get_model("ant").card
    assert (card.val_loss, card.bits_per_byte, card.steps, card.corpus_bytes) == (
        None,
        None,
        None,
        7,
    )
