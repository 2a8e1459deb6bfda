"""Reading needs no writing: models speak and are measured where nothing can be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tuillm.errors import TuillmError
from tuillm.store import usage
from tuillm.store.paths import models_dir
from tuillm.store.registry import remove_model, rename_model
from tuillm.store.usage import users_of, using

READING = {
    "generate": ["generate", "MODEL", "-p", "a", "-n", "2"],
    "chat": ["chat", "MODEL", "-n", "2"],
    "eval": ["eval", "MODEL", "TEXT"],
    "compare": ["compare", "MODEL", "MODEL", "-p", "a", "-n", "2"],
}
# a process for which every disk is full
FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from tuillm.cli.main import main
sys.argv = ["tuillm", *sys.argv[1:]]
main()
"""


def run(verb, model, book, home, code=None):
    """Run a verb that reads, on a model; return what came of it."""
    words = {"MODEL": str(model), "TEXT": str(book)}
    arguments = [words.get(word, word) for word in READING[verb]]
    start = ["-c", code] if code else ["-m", "tuillm"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        input="hello\n",
        text=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"TUILLM_HOME": str(home)},
    )


def check(done, notes=1):
    """It did what it was asked, and said in one line what it could not do besides."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    lines = done.stderr.splitlines()
    assert sum("others do not see which models are in use" in line for line in lines) == notes
    assert "Traceback" not in done.stderr and "TUILLM_HOME" not in done.stderr


@pytest.fixture
def small(book):
    """A text of a few windows."""
    book.write_text(book.read_text(encoding="utf-8")[:600], encoding="utf-8")
    return book


@pytest.mark.everyday(1)
@pytest.mark.parametrize(
    "verb",
    [
        "generate",
        "eval",
        *(pytest.param(verb, marks=pytest.mark.slow) for verb in ("chat", "compare")),
    ],
)
def test_a_folder_needs_no_data_directory(verb, trained_folders, small):
    """Where the data directory cannot even be made, not by root either."""
    home = Path("/proc/tuillm")
    check(run(verb, trained_folders["char"], small, home))


@pytest.mark.parametrize("verb", ["generate"])
def test_a_registered_model_is_read_where_no_mark_can_be_written(verb, model, small, home):
    """As in a registry of somebody else's: the model is there, and what is read is read."""
    (home / "in-use").write_text("")
    check(run(verb, model, small, home))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["generate", "chat", "compare"])
def test_a_full_disk_keeps_no_model_from_speaking(verb, model, small, home):
    """No byte can be written anywhere."""
    check(run(verb, model, small, home, FULL))
    assert list((home / "in-use").rglob("*.json")) == []


def test_what_cannot_be_written_is_said_once(home, capsys, monkeypatch):
    """However many models a process uses."""
    monkeypatch.setattr(usage, "_warned", set())
    home.mkdir()
    (home / "in-use").write_text("")
    with using("ant", "compare"), using("bee", "compare"):
        assert users_of("ant") == []
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("note: cannot write to ")


def test_a_closed_stderr_is_no_reason_to_fail(home, monkeypatch):
    """Where nothing can be said nothing is."""
    monkeypatch.setattr(usage, "_warned", set())
    monkeypatch.setattr(sys, "stderr", None)
    home.mkdir()
    (home / "in-use").write_text("")
    with using("ant", "chat"):
        pass


def test_a_model_is_its_folder_however_it_is_reached(tmp_path, model):
    """A folder of the same name elsewhere is another model; a link to it is this one."""
    other = shutil.copytree(models_dir() / model, tmp_path / model)
    with using(other, "chat"):
        assert users_of(model) == [] and len(users_of(other)) == 1
        rename_model(model, "tome")
        rename_model("tome", model)
    (tmp_path / "link").symlink_to(models_dir() / model)
    (tmp_path / "there").symlink_to(models_dir().parent)
    for path in (tmp_path / "link", tmp_path / "there" / "models" / model):
        with using(path, "chat"), pytest.raises(TuillmError, match="in use by chat"):
            remove_model(model)
    remove_model(model)


def test_a_registry_reached_by_a_link_is_the_same(tmp_path, model, home, monkeypatch):
    """Whoever comes by the other way sees who uses a model."""
    (tmp_path / "linked").symlink_to(home)
    with using(model, "chat"):
        monkeypatch.setenv("TUILLM_HOME", str(tmp_path / "linked"))
        with pytest.raises(TuillmError, match="in use by chat"):
            remove_model(model)
