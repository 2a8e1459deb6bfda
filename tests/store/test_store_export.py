"""Exports into folders that are there already, and are empty."""

import os

import pytest

from tuillm.errors import TuillmError
from tuillm.store import files
from tuillm.store.export_folder import export_model

EXPORTED = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tuillm.json"]


@pytest.fixture
def place(add_model, tmp_path):
    """An empty folder to export the model 'ant' to."""
    add_model("ant")
    folder = tmp_path / "place" / "out"
    folder.mkdir(parents=True)
    return folder


def names(folder):
    """The names of everything in a folder, hidden entries included."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("typed", [".", "../out"])
def test_a_model_is_exported_to_where_one_stands(place, monkeypatch, typed):
    """The folder stays the one that the shell is in."""
    monkeypatch.chdir(place)
    export_model("ant", type(place)(typed))
    assert sorted(os.listdir(".")) == names(place) == EXPORTED
    assert names(place.parent) == ["out"]
    with pytest.raises(TuillmError, match="is there already"):
        export_model("ant", type(place)(typed))


def test_a_model_is_exported_through_a_link(place):
    """The link stays a link, and the folder behind it has the model."""
    link = place.parent / "link"
    link.symlink_to(place.name)
    export_model("ant", link)
    assert link.is_symlink() and names(place) == EXPORTED
    assert names(place.parent) == ["link", "out"]


def test_a_model_is_exported_to_the_root_of_a_disk(place, monkeypatch):
    """Nothing is written beside it, where another disk is."""
    monkeypatch.setattr(type(place), "is_mount", lambda path: path == place)
    before = place.stat().st_ino
    export_model("ant", place)
    assert place.stat().st_ino == before and names(place) == EXPORTED


def test_an_export_that_fails_leaves_the_folder_empty(place, monkeypatch):
    """What was written to the folder that has to stay goes again."""
    monkeypatch.chdir(place)
    with pytest.raises(KeyboardInterrupt), files.new_folder(place) as staging:
        (staging / "half").write_text("x")
        raise KeyboardInterrupt
    assert names(place) == []
