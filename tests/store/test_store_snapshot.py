"""All models and runs at once: read again where the disk has changed, and only there."""

import json
import os
import shutil
import signal
import time

import psutil
import pytest

from tuillm.config import build_train
from tuillm.store import snapshot
from tuillm.store.files import write_json
from tuillm.store.process_id import this_process
from tuillm.store.registry import read_model_entry, remove_model, rename_model
from tuillm.store.run_folder import Run, create_run, remove_run
from tuillm.store.run_status import Status
from tuillm.store.snapshot import ModelsSnapshot, RunsSnapshot


@pytest.fixture
def read(monkeypatch):
    """The names of the models that were read, in their order."""
    names = []

    def noted(path):
        names.append(path.name)
        return read_model_entry(path)

    monkeypatch.setattr(snapshot, "read_model_entry", noted)
    return names


def make_run(name="book", process=None, **settings):
    """A run folder owned by a process, this one if no other is given."""
    config = build_train({"corpus": "book.txt", "name": name} | settings)
    return create_run(config, process or this_process())


def names(models):
    return [model.name for model in models.models]


def states(runs):
    return {entry.id: entry.status.state for entry in runs.runs}


# --- models --------------------------------------------------------------------------------


def test_an_empty_home_has_no_models(home):
    """Without a folder there is nothing, and nothing changes."""
    models = ModelsSnapshot()
    assert not models.refresh() and models.models == []
    (home / "models").mkdir(parents=True)
    assert not models.refresh() and models.models == []


def test_only_what_changed_is_read_again(add_model, read):
    """Each model is read once; another look at an unchanged disk reads none."""
    for name in ("bee", "ant", "cat"):
        add_model(name)
    models = ModelsSnapshot()
    assert models.refresh() and names(models) == ["ant", "bee", "cat"]
    assert sorted(read) == ["ant", "bee", "cat"]
    before = models.models
    assert not models.refresh()
    assert len(read) == 3 and all(a is b for a, b in zip(before, models.models, strict=True))
    add_model("dog")
    assert models.refresh() and names(models) == ["ant", "bee", "cat", "dog"]
    assert read[3:] == ["dog"]


def test_renamed_and_removed_models(add_model, read):
    """A name that goes is gone, one that comes is there."""
    add_model("ant")
    add_model("bee")
    models = ModelsSnapshot()
    models.refresh()
    rename_model("ant", "zebra")
    assert models.refresh() and names(models) == ["bee", "zebra"]
    remove_model("bee")
    assert models.refresh() and names(models) == ["zebra"]
    assert not models.refresh()


def test_a_model_in_place_of_another(add_model):
    """A model that was replaced under its name is read anew."""
    add_model("ant", parameters=1)
    models = ModelsSnapshot()
    models.refresh()
    add_model("ant", parameters=2, replace=True)
    assert models.refresh()
    assert [model.card.parameters for model in models.models] == [2]


@pytest.mark.parametrize(
    ("part", "problem"),
    [("tuillm.json", "damaged"), ("config.json", "damaged"), ("model.safetensors", "cut short")],
)
def test_damage_done_in_place(add_model, part, problem):
    """A file that is cut short without a new folder makes a damaged model of it."""
    path = add_model("ant")
    add_model("bee")
    models = ModelsSnapshot()
    models.refresh()
    with (path / part).open("rb+") as file:
        file.truncate(5)
    assert models.refresh()
    ant, bee = models.models
    assert problem in ant.problem and bee.problem == ""


def test_files_and_hidden_folders_are_no_models(home, add_model):
    """Folders in the making begin with a dot; a file among the folders is passed over."""
    add_model("ant")
    (home / "models" / ".ant.new").mkdir()
    (home / "models" / "notes.txt").touch()
    models = ModelsSnapshot()
    models.refresh()
    assert names(models) == ["ant"]


def test_the_whole_registry_goes(home, add_model):
    """A data directory that goes leaves an empty list, and fills it when it comes back."""
    add_model("ant")
    models = ModelsSnapshot()
    models.refresh()
    shutil.move(home, f"{home}-elsewhere")
    assert models.refresh() and models.models == []
    shutil.move(f"{home}-elsewhere", home)
    assert models.refresh() and names(models) == ["ant"]


def test_another_look_at_many_models_is_cheap(home, add_model):
    """Looking over a registry that has not changed costs microseconds a model."""
    source = add_model("model-0")
    for number in range(1, 300):
        shutil.copytree(source, home / "models" / f"model-{number}")
    models = ModelsSnapshot()
    models.refresh()
    begin = time.process_time()
    assert not models.refresh()
    assert time.process_time() - begin < 0.1 and len(models.models) == 300


# --- runs ----------------------------------------------------------------------------------


def test_runs_are_listed_the_newest_first(home):
    """By the time they were created, whatever they are called."""
    assert not RunsSnapshot().refresh()
    for age, name in ((30, "ant"), (10, "bee"), (20, "cat")):
        run = make_run(name)
        run.write_status(run.status().model_copy(update={"created": time.time() - age}))
    runs = RunsSnapshot()
    assert runs.refresh()
    assert [entry.id for entry in runs.runs] == ["bee-1", "cat-1", "ant-1"]
    assert runs.runs[0].config.name == "bee" and runs.runs[0].run.path.is_dir()
    assert not runs.refresh()


def test_a_new_status_is_a_change(home):
    """What a worker writes down is there at the next look; the settings are read once."""
    run = make_run()
    runs = RunsSnapshot()
    runs.refresh()
    config = runs.runs[0].config
    for step in (1, 2):
        run.write_status(run.status().model_copy(update={"state": "running", "step": step}))
        assert runs.refresh() and runs.runs[0].status.step == step
        assert runs.runs[0].config is config
        assert not runs.refresh()


def test_a_death_that_nobody_wrote_down(home, other_process):
    """A run whose process was killed is lost at the next look, its file unchanged."""
    with other_process() as other:
        started = psutil.Process(other.pid).create_time()
        run = make_run()
        run.write_status(
            Status(
                state="running", pid=other.pid, process_started=started, step=7, created=time.time()
            )
        )
        runs = RunsSnapshot()
        assert runs.refresh() and states(runs) == {"book-1": "running"}
        assert not runs.refresh()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert runs.refresh() and states(runs) == {"book-1": "lost"}
        assert runs.runs[0].status.step == 7
        assert not runs.refresh(), "lost it stays"


def test_ended_runs_cost_no_look_at_processes(home, monkeypatch):
    """Only runs that say they are going are asked after."""
    run = make_run()
    run.write_status(Status(state="finished", pid=this_process().pid, created=1.0))
    runs = RunsSnapshot()
    runs.refresh()
    monkeypatch.setattr("psutil.Process", None)
    assert not runs.refresh() and states(runs) == {"book-1": "finished"}


def test_removed_runs_and_new_ones_of_the_same_name(home):
    """A run that took the place of a deleted one has its own settings."""
    run = make_run(max_steps=5)
    run.write_status(Status(state="stopped", created=1.0))
    runs = RunsSnapshot()
    runs.refresh()
    remove_run(run)
    assert make_run(max_steps=9).id == run.id
    assert runs.refresh()
    assert [entry.config.max_steps for entry in runs.runs] == [9]
    shutil.rmtree(home / "runs")
    assert runs.refresh() and runs.runs == []


@pytest.mark.parametrize("status", ["", "[]", '{"state": "dancing"}', None])
def test_a_damaged_status_is_a_lost_run(home, status):
    """The run is listed with what is wrong, beside the good ones."""
    run = make_run("ant")
    make_run("bee")
    if status is None:
        (run.path / "status.json").unlink()
    else:
        (run.path / "status.json").write_text(status)
    runs = RunsSnapshot()
    runs.refresh()
    assert states(runs) == {"ant-1": "lost", "bee-1": "preparing"}
    damaged = next(entry for entry in runs.runs if entry.id == "ant-1")
    assert "status.json is" in damaged.status.error and damaged.config is not None


@pytest.mark.parametrize("text", ["", "[]", '{"n_layer": -3}', '{"no_such": 1}'])
def test_damaged_settings_are_none(home, text):
    """A run whose settings cannot be read is listed without them, and heals with the file."""
    run = make_run()
    good = json.loads((run.path / "run.json").read_text())
    runs = RunsSnapshot()
    runs.refresh()
    (run.path / "run.json").write_text(text)
    assert runs.refresh() and runs.runs[0].config is None
    write_json(run.path / "run.json", good)
    assert runs.refresh() and runs.runs[0].config is not None


def test_a_folder_without_any_file(home):
    """A run folder that is being made or deleted is a lost run until it has its files."""
    (home / "runs" / "ant-1").mkdir(parents=True)
    (home / "runs" / ".hidden").mkdir()
    runs = RunsSnapshot()
    assert runs.refresh() and states(runs) == {"ant-1": "lost"}
    assert runs.runs[0].config is None and runs.runs[0].run == Run("ant-1", home / "runs" / "ant-1")
    assert not runs.refresh()
