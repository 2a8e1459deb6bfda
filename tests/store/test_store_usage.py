"""A model in use is not removed under whoever uses it, and the dead use nothing."""

import subprocess
import sys

import pytest

from tuillm.errors import TuillmError
from tuillm.store.files import write_json
from tuillm.store.process_id import ProcessId, this_process
from tuillm.store.registry import copy_model, list_models, remove_model, rename_model
from tuillm.store.usage import users_of, using

CHAT = """
import os
from tuillm.store.usage import using
mark = using('ant', 'chat')
mark.__enter__()
print(os.getpid())
"""


@pytest.mark.parametrize(
    "change", [remove_model, lambda name: rename_model(name, "bee")], ids=["remove", "rename"]
)
def test_a_model_in_use_by_this_process_stays(add_model, change):
    """Removing and renaming name who uses the model, and succeed once nobody does."""
    add_model("ant")
    with using("ant", "generate"):
        with pytest.raises(TuillmError, match=r"in use by generate \(process \d+\)"):
            change("ant")
        assert [model.name for model in list_models()] == ["ant"]
    change("ant")
    assert [model.name for model in list_models()] != ["ant"]


def test_a_model_in_use_by_another_process_stays(add_model, other_process):
    """The refusal names the other process; when that has ended the model can go."""
    add_model("ant")
    with other_process(CHAT.strip()) as other:
        with pytest.raises(TuillmError, match=f"in use by chat \\(process {other.pid}\\)"):
            remove_model("ant")
        with pytest.raises(TuillmError, match="cannot replace 'ant'"):
            add_model("ant", replace=True)
    remove_model("ant")
    assert list_models() == []


def test_the_mark_of_a_dead_process_is_ignored(add_model, home):
    """A process that died without tidying up uses nothing, and its mark is cleared."""
    add_model("ant")
    code = CHAT + "\nos._exit(9)"
    died = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, timeout=20)
    assert died.returncode == 9
    assert len(list((home / "in-use").rglob("*.json"))) == 1
    assert users_of("ant") == []
    assert list((home / "in-use").rglob("*.json")) == []
    remove_model("ant")


def test_the_mark_of_a_number_that_came_again_is_ignored(home):
    """A mark with the number of a living process but another start time uses nothing."""
    me = this_process()
    write_json(
        home / "in-use" / "ant" / "1.json",
        {"pid": me.pid, "started": me.started - 3600, "purpose": "chat"},
    )
    assert users_of("ant") == []


@pytest.mark.parametrize("mark", [{}, {"pid": "x", "started": 1}, {"pid": -1, "started": 1}])
def test_a_damaged_mark_is_ignored(home, mark):
    """A mark that names no process holds no model."""
    write_json(home / "in-use" / "ant" / "1.json", mark)
    assert users_of("ant") == []


def test_users_are_all_named(add_model):
    """Two uses of one model are both in the refusal."""
    add_model("ant")
    with using("ant", "chat"), using("ant", "eval"):
        assert sorted(user.split()[0] for user in users_of("ant")) == ["chat", "eval"]
        copy_model("ant", "bee")  # reading is no harm
    assert users_of("ant") == []


def test_a_use_that_fails_is_over(home):
    """An exception in the block takes the mark away like a good end."""
    with pytest.raises(KeyError):
        with using("ant", "chat"):
            raise KeyError
    assert users_of("ant") == []
    assert list((home / "in-use").iterdir()) == []


def test_a_process_is_its_number_and_its_start():
    """This process is alive; the same number with another start time is not."""
    me = this_process()
    assert me.alive
    assert not ProcessId(me.pid, me.started + 60).alive


@pytest.mark.parametrize("pid", [-1, 0, 2**40])
def test_an_impossible_number_is_nobody(pid):
    """A number no process can have, out of a damaged file, is not alive and raises nothing."""
    assert not ProcessId(pid, 0.0).alive
