"""What a crash leaves is put back where it is whole, and cleared where it is not."""

import os
import shutil
import subprocess
import sys

import pytest

from tuillm.config import build_train
from tuillm.errors import TuillmError
from tuillm.store.files import new_folder, recover_folder, write_text
from tuillm.store.hub.pull_folder import Pull, pull_lock
from tuillm.store.process_id import this_process
from tuillm.store.registry import list_models
from tuillm.store.run_folder import create_run, list_runs
from tuillm.store.temp_files import clear_leftovers, leftovers
from tuillm.store.usage import users_of
from tuillm.store.user_profiles import save_profile


def names(folder):
    """What is in a folder, hidden entries included."""
    return sorted(entry.name for entry in folder.iterdir())


def moved_away(place, name, ending, content, half=False):
    """A folder as a crash of an earlier version left it, `half` where that was removing it."""
    old = place / f".{name}.old.{ending}"
    for part in ("a", "b", "deep/c"):
        write_text(place / f"{ending}-made" / part, content)
    old.mkdir()
    os.rename(place / f"{ending}-made", old / "folder")
    if half:
        shutil.rmtree(old / "folder" / "deep")
        (old / "folder" / "a").unlink()
    return old


@pytest.mark.parametrize("endings", ["abcdefgh", "hgfedcba"])
@pytest.mark.parametrize("half", ["older", "newer"])
def test_the_newest_complete_one_is_put_back(tmp_path, endings, half):
    """Not one that was half removed, whichever the disk lists first."""
    for number, ending in enumerate(endings):
        broken = number % 2 == (half == "older")
        old = moved_away(tmp_path, "last", ending * 8, f"{number}", half=broken)
        os.utime(old, (1000 + number, 1000 + number))
        for path in [old / "folder", *(old / "folder").rglob("*")]:
            made = 1005 + number if broken else 900
            os.utime(path, (made, made))
    recover_folder(tmp_path / "last")
    newest = max(number for number in range(len(endings)) if number % 2 != (half == "older"))
    assert {path.read_text() for path in (tmp_path / "last").rglob("*") if path.is_file()} == {
        f"{newest}"
    }
    assert names(tmp_path / "last") == ["a", "b", "deep"]
    assert names(tmp_path) == ["last"]


def test_a_replacement_that_fails_puts_the_old_one_back(tmp_path):
    """When the new folder cannot have the name, the old one has it again at once."""
    write_text(tmp_path / "last" / "a", "old")
    with pytest.raises(TuillmError), new_folder(tmp_path / "last") as folder:
        write_text(folder / "a", "new")
        shutil.rmtree(folder)
    assert (tmp_path / "last" / "a").read_text() == "old"
    assert names(tmp_path) == ["last"]


def test_leftovers_of_the_dead_are_cleared_and_nothing_else(tmp_path, other_process):
    """What a living process makes stays, and so do files that only look alike."""
    kept = [".notes.markdown", ".a.new", ".a.new.x", "a.new.12345678", ".last.old.abcdefgh"]
    for name in kept[:-1]:
        (tmp_path / name).write_text("mine")
    moved_away(tmp_path, "last", "abcdefgh", "whole")  # to be put back, not cleared
    (tmp_path / ".a.json.new.1234abcd").write_text("half")
    (tmp_path / ".b.gone.1234abcd").mkdir()
    (tmp_path / ".c.old.1234abcd").mkdir()
    moved_away(tmp_path, "d", "1234abcd", "stale")
    write_text(tmp_path / "d" / "a", "new")
    code = (
        f"from pathlib import Path\nfrom tuillm.store.temp_files import temporary_file\n"
        f"made = temporary_file(Path({str(tmp_path / 'e.json')!r}))\nmade.__enter__()\n"
        "print('ready')"
    )
    with other_process(code) as other:
        (living,) = tmp_path.glob(".e.json.new.*")
        clear_leftovers(tmp_path)
        assert names(tmp_path) == sorted([*kept, "d", living.name])
        other.kill()
        other.wait(timeout=20)
        assert leftovers(tmp_path) == [tmp_path / ".last.old.abcdefgh", living] or (
            leftovers(tmp_path) == [living, tmp_path / ".last.old.abcdefgh"]
        )
        clear_leftovers(tmp_path)
    assert names(tmp_path) == sorted([*kept, "d"])


def test_each_place_is_cleared_when_it_is_next_used(home, add_model):
    """The registry, runs, pulls, marks and profiles: by whoever next writes there."""
    add_model("ant")
    places = [home / "models", home / "runs", home / "pulls", home, home / "pulls" / "gpt2"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / ".x.new.1234abcd").write_text("half")
        (place / ".y.gone.1234abcd").mkdir()
        write_text(place / ".y.gone.1234abcd" / "weights", "half")
    (home / "models" / ".ant.abcd1234").mkdir()  # as earlier versions named it
    add_model("bee")
    create_run(build_train({"corpus": "book.txt"}), this_process())
    with pull_lock(Pull("gpt2", home / "pulls" / "gpt2")):
        pass
    from tuillm.config import build_sampling

    save_profile("ant", "mine", build_sampling({}))
    assert users_of("ant") == []
    left = [path for path in home.rglob(".*.*") if not path.name.endswith(".lock")]
    assert left == []
    assert [model.name for model in list_models()] == ["ant", "bee"]
    assert [run.id for run in list_runs()] == ["book-1"]


@pytest.mark.slow
def test_a_worker_clears_what_another_left_in_its_run(home, book):
    """Checkpoints half written and half removed go when the run is taken up."""
    run = create_run(
        build_train({"corpus": str(book), "preset": "nano", "max_steps": 2, "sample_tokens": 1}),
        this_process(),
    )
    for name in (".last.abcd1234", ".last.new.1234abcd", ".best.gone.1234abcd"):
        write_text(run.path / name / "weights", "half")
    (run.path / ".status.json.new.1234abcd").write_text("half")
    for place in ("cache/tokens", "config", "."):
        write_text(home / place / ".x.new.1234abcd" / "half", "half")
    write_text(home / "config" / ".my.markdown", "a person's own")
    subprocess.run(
        [sys.executable, "-m", "tuillm.training.worker", str(run.path)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    assert run.status().state == "finished"
    assert not [name for name in names(run.path) if name.startswith(".")]
    assert [path.name for path in home.rglob(".*")] == [".my.markdown"]
