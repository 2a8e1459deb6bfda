"""Copies of a model hold what is in its folder, and nothing a link in it leads to."""

import os
import shutil
import subprocess
import sys

import pytest

from tuillm.errors import TuillmError
from tuillm.store.copy_files import copy_files
from tuillm.store.export_folder import export_model
from tuillm.store.paths import models_dir
from tuillm.store.registry import copy_model, list_models, remove_model


@pytest.fixture
def secret(tmp_path):
    """A file of the person's own, outside of any model."""
    path = tmp_path / "id_rsa"
    path.write_text("the key")
    return path


def names(folder):
    """What is in a folder, hidden entries included."""
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("how", ["absolute", "relative", "folder", "two steps", "circle", "pipe"])
@pytest.mark.parametrize("copy", ["export", "copy"])
def test_what_leads_out_of_a_models_folder_is_not_copied(add_model, tmp_path, secret, how, copy):
    """It is refused in one line that names it, and nothing is left of the copy."""
    folder, odd = add_model("ant"), "vocab.json"
    if how == "absolute":
        (folder / odd).symlink_to(secret)
    elif how == "relative":
        (folder / odd).symlink_to(os.path.relpath(secret, folder))
    elif how == "folder":
        (folder / odd).symlink_to(secret.parent)
    elif how == "two steps":
        (folder / "step").symlink_to(secret.parent)
        (folder / odd).symlink_to("step/id_rsa")
    elif how == "circle":
        (folder / odd).symlink_to(odd)
    else:
        os.mkfifo(folder / odd)
    with pytest.raises(TuillmError, match="vocab.json|step"):
        if copy == "export":
            export_model("ant", tmp_path / "out")
        else:
            copy_model("ant", "bee")
    assert names(tmp_path / "out") == [] and names(models_dir()) == ["ant"]
    assert not list(tmp_path.glob(".out*"))


def test_an_export_of_a_hostile_folder_is_one_line(add_model, tmp_path, secret):
    """The command says what leads where and what to do, and its exit code is 1."""
    (add_model("ant") / "merges.txt").symlink_to(secret)
    done = subprocess.run(
        [sys.executable, "-m", "tuillm", "export", "ant", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "merges.txt is a link that leads out of the model's folder" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_links_within_a_folder_become_files(add_model, tmp_path):
    """What a link leads to inside is copied as a file, so that the copy stands alone."""
    folder = add_model("ant")
    (folder / "deep").mkdir()
    (folder / "deep" / "there.json").write_text("{}")
    (folder / "here.json").symlink_to("deep/there.json")
    export_model("ant", tmp_path / "out")
    assert not (tmp_path / "out" / "here.json").is_symlink()
    assert (tmp_path / "out" / "here.json").read_text() == "{}"
    assert (tmp_path / "out" / "deep" / "there.json").read_text() == "{}"


def test_a_model_that_is_itself_a_link_is_copied(add_model, tmp_path):
    """A person may keep a model on another disk, with a link to it in the registry."""
    moved = shutil.move(add_model("ant"), tmp_path / "disk")
    (models_dir() / "ant").symlink_to(moved)
    export_model("ant", tmp_path / "out")
    copy_model("ant", "bee")
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert [model.name for model in list_models()] == ["ant", "bee"]
    remove_model("ant")
    assert [model.name for model in list_models()] == ["bee"]
    assert names(models_dir()) == ["bee"] and (tmp_path / "disk" / "config.json").is_file()


def test_the_hubs_cache_is_one_place(add_model, tmp_path):
    """Its folders are links to blobs beside them, and to nothing else."""
    repo = tmp_path / "models--openai--gpt2"
    snapshot = repo / "snapshots" / "abc"
    (repo / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(add_model("ant").iterdir())):
        shutil.copyfile(path, repo / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    export_model(str(snapshot), tmp_path / "out")
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())
    (repo / "secret").write_text("x")
    (snapshot / "vocab.json").symlink_to("../../secret")
    with pytest.raises(TuillmError, match="leads out"):
        export_model(str(snapshot), tmp_path / "other")


def test_what_is_left_out_is_not_even_looked_at(tmp_path, secret):
    """Names that are not wanted may be anything."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("a")
    (tmp_path / "source" / "b").symlink_to(secret)
    (tmp_path / "target").mkdir()
    copy_files(tmp_path / "source", tmp_path / "target", leave_out=["b"])
    assert names(tmp_path / "target") == ["a"]
