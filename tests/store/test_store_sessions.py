"""Conversations on disk: ids, order, one-line errors, and lists that stay cheap."""

import json
import re
import time

import pytest

from tuillm.errors import TuillmError
from tuillm.store.registry import find_model
from tuillm.store.sessions import (
    SavedSession,
    SessionHead,
    latest,
    list_sessions,
    load_session,
    remove_session,
    save_session,
    weights_of,
)


def keep(model="book", title="hello", tree=None, **head):
    """Save a small conversation and return its id."""
    known = SessionHead(model=model, title=title, nodes=2, **head)
    return save_session(SavedSession(known, {"top_k": 3}, tree or {"nodes": []})).head.id


def test_saved_and_loaded():
    """What comes back is what was saved, under an id that tells model and day."""
    id = keep(title="Алма 😀", weights="w", tokenizer="t", mode="chat", tree={"a": "\u2028"})
    assert re.fullmatch(r"book-\d{4}-\d\d-\d\d-1", id)
    found = load_session(id)
    assert (found.settings, found.tree) == ({"top_k": 3}, {"a": "\u2028"})
    assert list_sessions() == [found.head] and found.head.title == "Алма 😀"
    assert 0 < found.head.created == found.head.updated <= time.time()


def test_saving_again_keeps_the_id_and_its_beginning(home):
    """A conversation that goes on is the same file, moved to the top of the list."""
    first, second = keep(), keep(model="other")
    assert [head.id for head in list_sessions()] == [second, first]
    old = load_session(first)
    new = save_session(SavedSession(old.head, {}, {"nodes": [1]}))
    assert (new.head.id, new.head.created) == (first, old.head.created)
    assert new.head.updated > old.head.updated
    assert [head.id for head in list_sessions()] == [first, second]
    assert len(list((home / "chats").iterdir())) == 2


def test_ids_count_up_and_are_names_of_files():
    """The same day gives the next number; a model's odd name gives a plain one."""
    ids = [keep() for _ in range(3)]
    assert [id[-2:] for id in ids] == ["-1", "-2", "-3"]
    assert keep(model="my böok/.. x").startswith("my-b-ok-..-x-")
    assert keep(model="...").startswith("chat-")


def test_those_of_one_model_and_the_latest():
    """Lists can be of one model; there may be none."""
    assert list_sessions() == [] and latest("book") is None
    first, second = keep(), keep(model="other")
    assert [head.id for head in list_sessions("book")] == [first]
    assert latest().id == second and latest("book").id == first and latest("none") is None


@pytest.mark.parametrize("id", ["book-2026", "", ".", "../x", "a/b", ".hidden"])
def test_unknown(id):
    """What is not there is told in one line, with the nearest if one is near."""
    known = keep()
    for call in (load_session, remove_session):
        with pytest.raises(TuillmError, match="no conversation"):
            call(id)
        with pytest.raises(TuillmError, match=f"did you mean '{known}'"):
            call(known[:-1] + "9")


def test_removed(home):
    """A removed conversation is gone for good."""
    id = keep()
    remove_session(id)
    assert list_sessions() == [] and not list((home / "chats").iterdir())


@pytest.mark.parametrize(
    "content",
    [
        '{"session": {"title": 7',
        "[]",
        '{"session": {"nodes": "x"}}',
        '{"session": {}}',
        "\x00\x01",
        '{"tree": {}}',
    ],
)
def test_damaged_files_hide_nothing(home, content):
    """A damaged file says so in one line; the others are listed, and it is never the latest."""
    good = keep()
    (home / "chats" / "bad.json").write_text(content)
    with pytest.raises(TuillmError, match="bad.json is damaged") as caught:
        load_session("bad")
    assert "\n" not in str(caught.value)
    heads = {head.id: head for head in list_sessions()}
    assert set(heads) == {good, "bad"} and not heads[good].problem
    assert heads["bad"].problem or content == '{"session": {}}'
    assert latest().id == good


def test_files_of_other_hands(home):
    """A file that was laid out otherwise is read as well; an empty or hidden one is passed over."""
    id = keep()
    path = home / "chats" / f"{id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    (home / "chats" / "claimed.json").touch()
    (home / "chats" / ".book.json.tmp").write_text("x")
    assert [head.id for head in list_sessions()] == [id] == [load_session(id).head.id]


def test_lists_read_the_first_line_alone(home):
    """However long a conversation is, a list does not read it: what follows may be anything."""
    id = keep(tree={"nodes": list(range(20_000))})
    path = home / "chats" / f"{id}.json"
    first = path.read_bytes().partition(b"\n")[0]
    path.write_bytes(first + b"\n" + b"\xff" * 100_000)
    (head,) = list_sessions()
    assert (head.id, head.title, head.problem) == (id, "hello", "") and len(first) < 300
    with pytest.raises(TuillmError, match="damaged"):
        load_session(id)


def test_weights_tell_trainings_apart(add_model, home):
    """A model trained again under its name is another; renamed, it is the same."""
    add_model("book", run="r1")
    first = weights_of(find_model("book"))
    (home / "models" / "book").rename(home / "models" / "moved")
    assert weights_of(find_model("moved")) == first
    add_model("book", run="r2")
    assert weights_of(find_model("book")) != first
    (home / "models" / "moved" / "tuillm.json").unlink()
    assert weights_of(find_model("moved")) not in ("", first)
