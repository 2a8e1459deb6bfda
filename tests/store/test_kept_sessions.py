"""Conversations of several writers and of torn ones, and their names: nothing is lost."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from tuillm.errors import TuillmError, UsageError
from tuillm.store.recover_sessions import recover_sessions
from tuillm.store.sessions import (
    SavedSession,
    SessionHead,
    check_session_name,
    find_session,
    list_sessions,
    load_session,
    remove_session,
    save_session,
)


def tree(*texts):
    """A tree with these texts."""
    return {
        "nodes": [
            {"id": place, "created": 100.0 + place, "text": text}
            for place, text in enumerate(texts, 1)
        ]
    }


def keep(*texts, head=None, **known):
    """Save a conversation of these texts."""
    head = replace(head or SessionHead(), model="book", title=texts[0], **known)
    return save_session(SavedSession(head, {}, tree(*texts))).head


def texts(id):
    """What a kept conversation says."""
    return [node["text"] for node in load_session(id).tree["nodes"]]


def orphan(home, id, *said, suffix="new.0123abcd", content=None, **known):
    """Leave what a process that was killed before it renamed its file leaves."""
    other = keep(*said, **known)
    path = home / "chats" / f"{other.id}.json"
    content = path.read_bytes() if content is None else content
    path.unlink()
    left = home / "chats" / f".{id}.json.{suffix}"
    left.write_bytes(content)
    return left


def names(home):
    """All files among the conversations."""
    return sorted(path.name for path in (home / "chats").iterdir())


def test_a_file_that_another_chat_has_written_is_never_replaced():
    """Whoever saves later goes on under an id of its own, and so do both from then on."""
    first = keep("hello", name="mine")
    mine, theirs = load_session(first.id).head, load_session(first.id).head
    mine = keep("hello", "mine", head=mine)
    theirs = keep("hello", "theirs", head=theirs)
    assert mine.id == first.id != theirs.id and (mine.name, theirs.name) == ("mine", "")
    mine, theirs = (
        keep("hello", name, name, head=head) for name, head in (("mine", mine), ("theirs", theirs))
    )
    assert mine.id == first.id and len(list_sessions()) == 2
    assert texts(mine.id) == ["hello", "mine", "mine"]
    assert texts(theirs.id) == ["hello", "theirs", "theirs"]


def test_a_head_of_a_list_replaces_nothing():
    """Who has not read the whole file does not know what it would replace."""
    keep("hello")
    (head,) = list_sessions()
    assert keep("other", head=head).id != head.id and texts(head.id) == ["hello"]


def test_a_file_that_has_gone_is_written_again():
    """A conversation that was deleted while its chat goes on is that chat's again."""
    head = keep("hello")
    remove_session(head.id)
    assert keep("hello", "more", head=head).id == head.id


_WRITER = """
import sys
from tuillm.store.sessions import SavedSession, SessionHead, save_session
print("ready", flush=True)
sys.stdin.readline()
for turn in range(15):
    head = save_session(SavedSession(SessionHead(model="book", title=sys.argv[1]), {}, {})).head
    print(head.id)
"""


def test_ids_are_taken_by_whole_files(home):
    """Several processes that begin conversations at once get ids of their own."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        assert all(path.stat().st_size for path in home.glob("chats/[!.]*"))
    ids = [line for writer in writers for line in writer.communicate()[0].split()]
    assert len(ids) == len(set(ids)) == 45 == len(list_sessions())
    for head in list_sessions():
        assert not load_session(head.id).head.problem


def test_a_write_that_fails_leaves_nothing(home):
    """On a full disk there is neither an empty conversation nor a file beside it."""
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from tuillm.store.sessions import *\n"
        "save_session(SavedSession(SessionHead(model='book'), {}, {'a': 'x' * 5000}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "DiskError: " in done.stderr and names(home) == [] == list_sessions()


def test_only_the_owner_can_read(home):
    """Whatever the umask, conversations are for their owner alone, those of before included."""
    before = os.umask(0)
    try:
        head = keep("hello")
        (home / "chats").chmod(0o755)
        keep("hello", "more", head=head)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "chats" / f"{head.id}.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "chats").stat().st_mode) == 0o700


@pytest.mark.parametrize("suffix", ["new.0123abcd", "x_23ab9d"])
def test_a_conversation_left_beside_its_file_is_found(home, suffix):
    """Its id is free, or an empty file: it gets it; nothing is left that has no name."""
    orphan(home, "book-2026-01-01-1", "lost", suffix=suffix)
    orphan(home, "book-2026-01-01-2", "lost, too", suffix=suffix)
    (home / "chats" / "book-2026-01-01-2.json").touch()
    (home / "chats" / "book-2026-01-01-3.json").touch()
    found = recover_sessions()
    assert [(head.id, head.title) for head in found] == [
        ("book-2026-01-01-1", "lost"),
        ("book-2026-01-01-2", "lost, too"),
    ]
    assert names(home) == ["book-2026-01-01-1.json", "book-2026-01-01-2.json"]
    assert texts("book-2026-01-01-1") == ["lost"] and recover_sessions() == []


def test_what_goes_on_replaces_and_what_differs_stands_beside(home):
    """A file is replaced by what says more than it, and by nothing else."""
    head = keep("hello")
    orphan(home, head.id, "hello", "more")
    assert [each.id for each in recover_sessions()] == [head.id]
    assert texts(head.id) == ["hello", "more"]
    orphan(home, head.id, "hello")
    assert recover_sessions() == [] and texts(head.id) == ["hello", "more"]
    orphan(home, head.id, "hello", "other")
    (beside,) = recover_sessions()
    assert beside.id != head.id and texts(beside.id) == ["hello", "other"]
    assert texts(head.id) == ["hello", "more"] and len(names(home)) == 2


@pytest.mark.parametrize("content", [b"", b'{"session": {"tit', b"\xff\xfe", b"{}", b"[]"])
def test_torn_leftovers(home, content):
    """What was torn and has its whole file is removed; without one it is left to its owner."""
    head = keep("hello")
    orphan(home, head.id, "x", content=content)
    assert recover_sessions() == [] and names(home) == [f"{head.id}.json"]
    remove_session(head.id)
    left = orphan(home, head.id, "x", content=content)
    assert recover_sessions() == [] and left.exists() == bool(content)
    assert list_sessions() == []


def test_a_damaged_file_is_not_replaced(home):
    """Where the file itself is damaged what was found stands beside it."""
    (home / "chats").mkdir(parents=True)
    (home / "chats" / "book-2026-01-01-1.json").write_text("damaged")
    orphan(home, "book-2026-01-01-1", "lost")
    (head,) = recover_sessions()
    assert head.id != "book-2026-01-01-1" and texts(head.id) == ["lost"]
    assert (home / "chats" / "book-2026-01-01-1.json").read_text() == "damaged"


_MAKING = """
from tuillm.store.temp_files import temporary_file
from tuillm.store.paths import data_dir
from tuillm.store.files import ensure_dir
import contextlib, os
held = contextlib.ExitStack()
path, fd = held.enter_context(temporary_file(ensure_dir(data_dir() / "chats") / "book-1.json"))
os.write(fd, b'{"session": {}, "settings": {}, "tree": {}}')
print("ready", flush=True)
"""


def test_what_another_process_is_writing_is_left_alone(home, other_process):
    """Only what nobody holds is a leftover."""
    with other_process(_MAKING.strip()):
        assert recover_sessions() == [] and len(names(home)) == 1


def test_without_a_place_nothing_is_recovered(tmp_path, monkeypatch):
    """No conversations, no folder, a file in its place: nothing happens, nothing is made."""
    assert recover_sessions() == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUILLM_HOME", str(tmp_path / "file"))
    assert recover_sessions() == [] == list_sessions()


def test_names():
    """A conversation is found by its id and its name, in any case; names are given once."""
    first, second = keep("hello", name="The salt road"), keep("other")
    for said in (first.id, "The salt road", "the SALT road"):
        assert find_session(said).id == first.id
    assert find_session(second.id).label == "other"
    assert find_session(first.id).label == "The salt road: hello"
    with pytest.raises(TuillmError, match="did you mean 'The salt road'"):
        find_session("The salt roat")
    assert check_session_name("  a\x1b[31m\n b ") == "a[31m b"
    assert check_session_name("the salt road", of=first) == "the salt road"
    for taken in ("the salt road", first.id):
        with pytest.raises(UsageError, match=f"is the name of {first.id} already"):
            check_session_name(taken, of=second)
    for wrong in ("", " \n", "x" * 81):
        with pytest.raises(UsageError, match="cannot be a name"):
            check_session_name(wrong)


def test_two_of_one_name(home):
    """Files that were copied by hand may share a name: their ids tell them apart."""
    head = keep("hello", name="mine")
    path = home / "chats" / f"{head.id}.json"
    (home / "chats" / "copy.json").write_bytes(path.read_bytes())
    with pytest.raises(TuillmError, match="2 conversations are named 'mine'") as caught:
        find_session("mine")
    assert head.id in str(caught.value) and "copy" in str(caught.value)


@pytest.mark.parametrize("id", ["x" * 300, "a/" * 200, "~nobody/x", "\0", "x\0y", "\ud800"])
def test_ids_that_no_disk_knows(id):
    """Whatever is typed as an id is a conversation that is not there, in one line."""
    for call in (find_session, load_session, remove_session):
        with pytest.raises(TuillmError, match="no conversation") as caught:
            call(id)
        assert len(str(caught.value)) < 400


def test_files_of_before(home):
    """A file without a name is read; what other versions wrote besides is passed over."""
    head = keep("hello")
    path = home / "chats" / f"{head.id}.json"
    values = json.loads(path.read_text())
    del values["session"]["name"]
    values["session"]["later"] = 7
    path.write_text(json.dumps(values))
    assert load_session(head.id).head.name == "" and list_sessions()[0].label == "hello"


def test_a_conversation_nested_too_deeply_hides_no_other(home):
    """It is listed as damaged, and the others are found, by name too."""
    kept = save_session(SavedSession(SessionHead(model="book", title="one")))
    (home / "chats" / "deep.json").write_bytes(b"[" * 100_000)
    heads = {head.id: head.problem for head in list_sessions()}
    assert heads[kept.head.id] == "" and "damaged" in heads["deep"]
