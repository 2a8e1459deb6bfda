"""Who may read what: the umask says, and what is private is its owner's alone."""

import os
import stat
import subprocess
import sys

import pytest

from tuillm.store.files import make_private, write_bytes, write_new, write_text

EVERYTHING = """
import os
import sys
from pathlib import Path
from tuillm import Trainer
from tuillm.config import build_sampling
from tuillm.store.export_folder import export_model
from tuillm.store.files import append_json, new_file
from tuillm.store.registry import copy_model
from tuillm.store.paths import data_dir
from tuillm.store.user_profiles import save_profile
from tuillm.store.usage import using

Trainer(corpus=sys.argv[1], preset="nano", max_steps=2, sample_tokens=2).run()
copy_model("book", "copy")
save_profile("book", "mine", build_sampling({}))
export_model("book", data_dir() / "exported")
with new_file(data_dir() / "file.gguf") as file:
    file.write_bytes(b"x")
append_json(data_dir() / "rows.jsonl", {})
mark = using("book", "chat")
mark.__enter__()
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("umask", [pytest.param(0o002, marks=pytest.mark.slow), 0o077])
def test_new_files_and_folders_are_as_the_umask_says(tmp_path, book, home, umask):
    """A run, its model, copies, exports, locks, marks and caches: all of them, and all alike."""
    subprocess.run(
        [sys.executable, "-c", EVERYTHING, str(book)],
        check=True,
        umask=umask,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    seen = [path for path in home.rglob("*") if path.stat().st_mode]
    assert len(seen) > 40
    wrong = {
        str(path.relative_to(home)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in seen
        if stat.S_IMODE(path.stat().st_mode) != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert not wrong


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_what_is_private_is_its_owners_alone(tmp_path, umask):
    """Whatever the umask says, also where it was open before."""
    open_folder = tmp_path / "chats"
    open_folder.mkdir(mode=0o755)
    (open_folder / "old.json").write_text("mine")
    (open_folder / "old.json").chmod(0o644)
    (tmp_path / "history").write_text("mine")
    (tmp_path / "history").chmod(0o644)
    before = os.umask(umask)
    try:
        write_text(open_folder / "old.json", "new", private=True)
        write_bytes(tmp_path / "deep" / "chats" / "a.json", b"a", private=True)
        assert write_new(open_folder / "b.json", b"b", private=True)
        make_private(tmp_path / "history")
        make_private(tmp_path / "fresh")
    finally:
        os.umask(before)
    files = [
        *open_folder.iterdir(),
        *(tmp_path / "deep" / "chats").iterdir(),
        tmp_path / "history",
        tmp_path / "fresh",
    ]
    assert len(files) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [open_folder, tmp_path / "deep" / "chats"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert (tmp_path / "history").read_text() == "mine"


def test_a_file_that_its_owner_closed_stays_closed(tmp_path):
    """What is written over keeps the mode it was given."""
    path = tmp_path / "themes.toml"
    write_text(path, "a")
    path.chmod(0o600)
    write_text(path, "b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_name_is_taken_once(tmp_path):
    """Of those who write a new file under one name the first has it, whole."""
    path = tmp_path / "a.json"
    assert write_new(path, b"first") and not write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
