"""Wherever a process is interrupted or dies, files and folders are the old or the new, whole."""

import subprocess
import sys

import pytest

# Presses Ctrl-C at event number N of a piece of work, for N = 1, 2, 3... until it is over before:
# at each line of the modules that write, and of the context managers between them.
PRESSING = """
import os, shutil, signal, sys
from pathlib import Path
from tuillm.store import defer_signals as interrupts
from tuillm.store import temp_files as temporary
from tuillm.store import files, locks
from tuillm.store.files import *
from tuillm.store.files import new_file, new_folder, append_json, write_new, remove_folder

place = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)
watched = {{files.__file__, interrupts.__file__, locks.__file__, temporary.__file__}}
left = 0

def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename not in watched:
        return None
    if event in ("line", "return"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
    return trace

{prepare}

def work():
    {work}

def check():
    {check}

number, pressed = 0, 0
while True:
    number += 1
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    prepare()
    left = number
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        pressed += 1
    finally:
        sys.settrace(None)
    check()
    assert not [p for p in place.iterdir() if p.name.startswith(".")], (number, os.listdir(place))
    assert len(os.listdir("/proc/self/fd")) < 40 + number // 20
    if left > 0:
        break
print(number, pressed)
"""
FILE = """
target = place / "file"
def prepare():
    target.write_bytes(b"old")
"""
FILLED = (
    FILE
    + """
def fill():
    with new_file(target) as file:
        file.write_bytes(b'new')
"""
)
FOLDER = """
target = place / "folder"
def prepare():
    target.mkdir()
    (target / "name").write_text("old")
def fill():
    with new_folder(target) as folder:
        (folder / "name").write_text("new")
"""
NOTHING = """
target = place / "file"
def prepare():
    pass
"""


@pytest.mark.everyday(2)
@pytest.mark.parametrize(
    ("prepare", "work", "check"),
    [
        (FILE, "write_bytes(target, b'new')", "assert target.read_bytes() in (b'old', b'new')"),
        (
            NOTHING,
            "write_new(target, b'new')",
            "assert not target.exists() or target.read_bytes() == b'new'",
        ),
        (FILLED, "fill()", "assert target.read_bytes() in (b'old', b'new')"),
        (
            NOTHING,
            "append_json(target, {'a': 1})",
            "assert not target.exists() or target.read_bytes() in (b'', b'{\"a\": 1}\\n')",
        ),
        (FOLDER, "fill()", "assert (target / 'name').read_text() in ('old', 'new')"),
        (
            FOLDER,
            "remove_folder(target)",
            "assert not target.exists() or (target / 'name').read_text() == 'old'",
        ),
    ],
    ids=["write_bytes", "write_new", "new_file", "append_json", "new_folder", "remove_folder"],
)
def test_ctrl_c_at_any_point_leaves_the_old_or_the_new(tmp_path, prepare, work, check):
    """At every line of the writing: nothing half, nothing beside it, no open files."""
    code = PRESSING.format(prepare=prepare, work=work, check=check)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "place")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    number, pressed = map(int, done.stdout.split())
    assert pressed > number // 2 > 5


# Dies at call number N to the disk while a folder is replaced, for N = 1, 2, 3...; then again, at
# call M, while the next process replaces it: what is recovered is one of the whole ones.
DYING = """
import os, shutil, sys
from pathlib import Path
from tuillm.store.files import new_folder, recover_folder
from tuillm.store.temp_files import clear_leftovers

place = Path(sys.argv[1])
target = place / "last"
left = 0

def hook(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "open",
                 "shutil.rmtree"):
        left -= 1
        if left == 0:
            os._exit(9)

def replace(text, die_at):
    # in a process of its own, which dies; returns whether it did
    global left
    child = os.fork()
    if not child:
        left = die_at
        with new_folder(target) as folder:
            for name in "abc":
                (folder / name).write_text(text)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

def contents():
    return {{name: (target / name).read_text() for name in os.listdir(target)}}

def whole(*texts):
    return contents() in [dict.fromkeys("abc", text) for text in texts]

sys.addaudithook(hook)
first = 0
died = True
while died:
    first += 3
    second, again = 0, True
    while again:
        second += 5
        shutil.rmtree(place, ignore_errors=True)
        replace("one", 0)
        died = replace("two", first)
        again = replace("three", second)
        recover_folder(target)
        assert whole("one", "two", "three"), (first, second, contents(), os.listdir(place))
        clear_leftovers(place)
        assert os.listdir(place) == ["last"], (first, second, os.listdir(place))
        assert whole("one", "two", "three")
print(first, second)
"""


@pytest.mark.slow
def test_dying_at_any_point_twice_in_a_row_loses_no_folder(tmp_path):
    """What is put back is whole, and nothing that was left behind stays."""
    code = DYING.format()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "place")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) > 15
