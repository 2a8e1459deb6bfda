"""Files are whole or not there, whatever happens in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

from tuillm.errors import TuillmError
from tuillm.store.files import (
    append_json,
    new_file,
    new_folder,
    read_json,
    recover_folder,
    remove_folder,
    replace_folder,
    write_bytes,
    write_json,
    write_text,
)
from tuillm.store.jsonl import read_rows
from tuillm.store.paths import cache_dir, config_dir, data_dir, ensure_dir, models_dir

# a process that may write no file longer than 4 KB: the nearest to a full disk without a disk
SMALL_DISK = """
import resource, sys
from pathlib import Path
from tuillm.errors import TuillmError
from tuillm.store.files import new_folder, write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
target = Path(sys.argv[1])
try:
    {action}
except TuillmError as error:
    print(error)
"""


def on_small_disk(action, target):
    """Run `action` in a process that cannot write more than 4 KB; return what it printed."""
    code = SMALL_DISK.replace("{action}", action)
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout.strip()


def names(folder):
    """The names of everything in a folder, hidden entries included."""
    return sorted(entry.name for entry in folder.iterdir())


def test_a_write_creates_folders_and_replaces_the_content(tmp_path):
    """A file is written into folders that do not exist yet, and written over as a whole."""
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "long old content")
    write_text(path, "қысқа")
    assert path.read_bytes() == "қысқа".encode()
    assert names(path.parent) == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_the_disk_refuses_keeps_the_old_content(tmp_path):
    """When the disk takes only a part, the old content stays and no temporary file does."""
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    told = on_small_disk("write_bytes(target, bytes(100_000))", path)
    assert told == f"cannot write {path}: File too large"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_write_onto_a_folder_fails_and_leaves_nothing(tmp_path):
    """A folder under the name is not harmed, and the temporary file is gone."""
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(TuillmError, match="cannot write .*taken"):
        write_bytes(target, b"new")
    assert names(tmp_path) == ["taken"]
    assert names(target) == []


def test_what_is_not_json_leaves_the_old_document(tmp_path):
    """A value that JSON cannot hold fails before the file is touched."""
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}
    assert names(tmp_path) == ["file.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        (b"", "is damaged"),
        (b'{"a": 1', "is damaged"),
        (b"[1, 2]", "is damaged: not a JSON object"),
        (b'{"a": "\xff"}', "is damaged"),
        (b'{"a": ' + b"[" * 200_000, "is damaged"),
    ],
)
def test_a_missing_or_damaged_document_is_named(tmp_path, content, words):
    """Reading says in one line which file is missing or damaged."""
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TuillmError, match=words) as caught:
        read_json(path)
    assert caught.value.message.startswith(str(path))


def test_a_new_file_appears_only_when_it_is_complete(tmp_path):
    """While the block writes nothing stands under its name; when it fails nothing ever does."""
    target = tmp_path / "deep" / "file.bin"
    with new_file(target) as staging:
        staging.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole" and target.stat().st_mode & 0o777 == 0o644
    with pytest.raises(KeyboardInterrupt), new_file(target) as staging:
        staging.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"whole" and names(target.parent) == ["file.bin"]


def test_a_new_folder_appears_only_when_it_is_complete(tmp_path):
    """While the block fills the folder nothing stands under its name."""
    target = tmp_path / "deep" / "folder"
    with new_folder(target) as staging:
        (staging / "file").write_text("x")
        assert not target.exists()
    assert names(target) == ["file"]
    assert names(target.parent) == ["folder"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_new_folder_replaces_the_old_one_whole(tmp_path):
    """No file of the replaced folder shows up in the new one."""
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with new_folder(target) as staging:
            (staging / name).write_text("x")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, OSError(28, "No space left")])
def test_a_new_folder_leaves_nothing_when_its_block_raises(tmp_path, raised):
    """After an exception the old folder is as it was, and nothing stands beside it."""
    target = tmp_path / "folder"
    with new_folder(target) as staging:
        (staging / "old").write_text("x")
    with pytest.raises((ValueError, KeyboardInterrupt, TuillmError)):
        with new_folder(target) as staging:
            (staging / "half").write_text("x")
            raise raised
    assert names(target) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_a_new_folder_that_the_disk_refuses_is_one_clear_error(tmp_path):
    """What the disk says while the folder is filled becomes one line about the folder."""
    target = tmp_path / "folder"
    action = """
    with new_folder(target) as staging:
        (staging / "weights").write_bytes(bytes(100_000))"""
    assert on_small_disk(action.strip(), target) == f"cannot write {target}: File too large"
    assert names(tmp_path) == []


def crash_while_replacing(source, target, renames):
    """Die, in another process, right before rename number `renames` of replace_folder."""
    code = f"""
import os, sys
from pathlib import Path
from tuillm.store.files import replace_folder
left = [{renames}]
def hook(event, arguments):
    if event == "os.rename":
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
sys.addaudithook(hook)
replace_folder(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(source), str(target)], timeout=20)
    assert done.returncode == 9


@pytest.mark.parametrize("renames", [1, 2])
def test_a_crash_while_replacing_loses_nothing(tmp_path, renames):
    """Whichever rename the process dies before, the old folder can be put back."""
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        write_text(folder / "file", folder.name)
    crash_while_replacing(source, target, renames)
    recover_folder(target)
    assert (target / "file").read_text() == "target"
    replace_folder(source, target)
    assert (target / "file").read_text() == "source"


def test_recovering_leaves_a_folder_in_place_alone(tmp_path):
    """Where the folder stands, an older one beside it is not put over it."""
    write_text(tmp_path / "target" / "file", "new")
    write_text(tmp_path / ".target.old.abc" / "folder" / "file", "old")
    recover_folder(tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "new"


def test_recovering_what_never_was_does_nothing(tmp_path):
    """Without a folder and without a trace of one there is nothing to recover."""
    recover_folder(tmp_path / "target")
    assert names(tmp_path) == []


def test_a_removed_folder_leaves_no_trace(tmp_path):
    """Removing takes the folder away with everything in it."""
    write_text(tmp_path / "folder" / "deep" / "file", "x")
    remove_folder(tmp_path / "folder")
    assert names(tmp_path) == []


def test_appended_rows_are_read_in_order(tmp_path):
    """Rows come back as they were appended, and from an offset only the newer ones."""
    path = tmp_path / "rows.jsonl"
    append_json(path, {"step": 1, "text": "сөз\nline"})
    rows, offset = read_rows(path)
    append_json(path, {"step": 2})
    assert rows == [{"step": 1, "text": "сөз\nline"}]
    assert read_rows(path, offset) == ([{"step": 2}], path.stat().st_size)


def test_a_torn_last_line_is_left_for_the_next_call(tmp_path):
    """A line that is still being written is not read until its end has come."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    rows, offset = read_rows(path)
    assert (rows, offset) == ([{"step": 1}], 12)
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    assert read_rows(path, offset) == ([{"step": 2}], 24)


def test_a_row_after_a_torn_line_is_not_lost(tmp_path):
    """When a writer died in the middle of a line, the next row still starts a line of its own."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    offset = read_rows(path)[1]
    append_json(path, {"step": 2})
    assert read_rows(path)[0] == [{"step": 1}, {"step": 2}]
    assert read_rows(path, offset)[0] == [{"step": 2}]


def test_damaged_lines_are_passed_over(tmp_path):
    """Broken JSON, bad UTF-8 and what is no object hide no other line."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\n[1]\n"x"\n{"a": "\xff"}\n{"a": 2}\n')
    assert read_rows(path)[0] == [{"a": 1}, {"a": 2}]


def test_a_file_that_has_shrunk_is_read_from_its_beginning(tmp_path):
    """An offset beyond the end means another file came: it is read whole."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    assert read_rows(path, 500) == ([{"a": 1}], 9)


def test_a_missing_file_has_no_rows(tmp_path):
    """A run that wrote nothing yet has no rows, and reading starts at 0 later."""
    assert read_rows(tmp_path / "none.jsonl", 70) == ([], 0)


def test_a_full_device_says_so(tmp_path):
    """No space left is told as that, with what to do, not as an error number."""
    path = tmp_path / "rows.jsonl"
    code = """
import resource, signal, sys
from pathlib import Path
from tuillm.store.files import append_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
append_json(Path(sys.argv[1]), {"a": "first"})
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))  # a part of the next line has room
append_json(Path(sys.argv[1]), {"a": "x" * 100})
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "no space left to write" in done.stderr and "free some space" in done.stderr


def test_rows_of_two_processes_never_mix(tmp_path):
    """Two processes that append at once leave only whole lines."""
    path = tmp_path / "rows.jsonl"
    code = """
import sys
from pathlib import Path
from tuillm.store.files import append_json
for number in range(200):
    append_json(Path(sys.argv[1]), {"who": sys.argv[2], "number": number, "fill": "x" * 300})
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [writer.wait(timeout=20) for writer in writers] == [0, 0]
    rows = read_rows(path)[0]
    for who in "ab":
        assert [row["number"] for row in rows if row["who"] == who] == list(range(200))


@pytest.mark.parametrize("inside", ["blocked", "blocked/deep/home"])
def test_an_unwritable_place_is_one_clear_error(tmp_path, monkeypatch, inside):
    """A data directory that is or lies under a file is refused with the variable to set."""
    monkeypatch.setenv("TUILLM_HOME", str(tmp_path / inside))
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(TuillmError, match="cannot write to .*blocked") as caught:
        ensure_dir(tmp_path / inside)
    assert "TUILLM_HOME" in caught.value.hint


def test_one_variable_moves_everything(home):
    """Models, downloads and a person's own files all lie under TUILLM_HOME."""
    assert data_dir() == home
    assert [path.parent for path in (cache_dir(), config_dir(), models_dir())] == [home] * 3


def test_the_home_may_be_written_with_a_tilde(monkeypatch):
    """A tilde in TUILLM_HOME is the person's home directory."""
    monkeypatch.setenv("TUILLM_HOME", "~/books")
    assert data_dir() == Path.home() / "books"
