"""The transcript as a tree: branches, going back, its JSON form, and what is refused as damaged."""

import copy
import json
from typing import Any

import pytest

from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Node, Tree, first_words
from tuillm.errors import TuillmError, UsageError


@pytest.fixture
def tree():
    """Two exchanges, the second with another reply; the head is at that one."""
    tree = Tree()
    turns: list[tuple[Any, int | None, list[int]]] = [
        ("you", None, [1, 2]),
        ("model", 1, [3]),
        ("you", 2, [4]),
        ("model", 3, [5, 6]),
        ("model", 3, [7]),
    ]
    for who, parent, ids in turns:
        tree.append(Node(who, parent, f"text {parent}", ids))
    return tree


@pytest.fixture
def session(talker, config):
    """A session of three exchanges."""
    session = Session(talker(), config.model_copy(update={"max_new_tokens": 5}))
    for text in ("one", "two", "three"):
        session.say(text)
        list(session.reply())
    return session


def test_paths_and_ids(tree):
    """The transcript of a node is that of its parent, less what it takes, and what it adds."""
    assert [node.id for node in tree.path(5)] == [1, 2, 3, 5]
    assert tree.ids(4) == [1, 2, 3, 4, 5, 6] and tree.ids(None) == []
    assert [node.id for node in tree.children(3)] == [4, 5]
    assert tree.siblings(4) == tree.siblings(5) == tree.children(3)
    assert [node.id for node in tree.children(None)] == [1]
    tree.append(Node("model", 5, ids=[9], drop_tail=3, replacement_ids=[8]))
    assert tree.ids(tree.head) == [1, 2, 8, 9]


def test_undo_takes_an_exchange_and_loses_nothing(tree):
    """A text goes with its reply, a going on without a text alone; at the start nothing is left."""
    tree.append(Node("model", 5, "on"))
    assert [node.id for node in tree.undo()] == [6]
    assert [node.id for node in tree.undo()] == [3, 5]
    assert [node.id for node in tree.undo()] == [1, 2] and tree.head is None
    with pytest.raises(UsageError, match="nothing to take back"):
        tree.undo()
    assert len(tree.nodes) == 6
    tree.goto(3)
    assert [node.id for node in tree.undo()] == [3] and tree.head == 2


def test_goto(tree):
    """Any node can be gone to, and the start; another is refused with the range."""
    tree.goto(4)
    tree.goto(None)
    with pytest.raises(UsageError, match="no branch 9 .1 to 5."):
        tree.goto(9)
    assert tree.head is None


def test_branches(tree):
    """Each leaf is a branch, told by the words where it parted from the others."""
    tree.nodes[5].text = "another way to say it"
    tree.nodes[5].created = 1000
    first, second = tree.branches(now=1060)
    assert (first.leaf, first.depth, first.words, first.current) == (4, 4, "text 3", False)
    assert (second.leaf, second.words, second.age, second.current) == (
        5,
        "another way to say it",
        60,
        True,
    )
    assert tree.title == "text None" and Tree().title == "" and Tree().branches() == []


def test_first_words():
    """A long text is cut at a word, line ends are blanks, one long word is cut anywhere."""
    assert first_words("  a\n b\t") == "a b"
    assert first_words("word " * 30) == ("word " * 9).strip()
    assert first_words("x" * 100) == "x" * 48


def test_json_keeps_everything(session):
    """A tree that went through JSON is the same, and goes on the same."""
    list(session.regenerate())
    values = json.loads(json.dumps(session.tree.to_json()))
    again = Tree.from_json(values)
    assert again.nodes == session.tree.nodes and again.head == session.tree.head
    other = Session(session.sampler, session.config, session.mode, again)
    session.say("four")
    other.say("four")
    assert [one.id for one in session.reply()] == [one.id for one in other.reply()]
    assert Tree.from_json(Tree().to_json()).head is None


def test_earlier_versions_open(session):
    """What an earlier version kept has no system text and no thoughts, and is the same tree."""
    values = session.tree.to_json()
    assert values["version"] == 3
    again = Tree.from_json(values | {"version": 2})
    assert again.nodes == session.tree.nodes and again.system(again.head) == ""
    session.set_system("be brief")
    later = Tree.from_json(session.tree.to_json())
    assert later.system(later.head) == "be brief" and later.ids(later.head) == session.ids


DAMAGES = {
    "no tree": lambda values: values.pop("nodes"),
    "newer": lambda values: values.update(version=4),
    "nodes": lambda values: values.update(nodes=7),
    "who": lambda values: values["nodes"][1].update(who="nobody"),
    "ids": lambda values: values["nodes"][1].update(ids=["x"]),
    "below 0": lambda values: values["nodes"][1].update(ids=[-1]),
    "has a parent that is not there": lambda values: values["nodes"][1].update(parent=4),
    "stands where": lambda values: values["nodes"][1].update(id=9),
    "same id": lambda values: values["nodes"][1].update(id=1),
    "fit": lambda values: values["nodes"][1].update(drop_tail=7),
    "does not fit": lambda values: values["nodes"][1].update(forced=9),
    "numbers": lambda values: values["nodes"][1].update(logprobs=[1.0, 2.0]),
    "not there": lambda values: values.update(head=77),
    "head": lambda values: values.update(head=["x"]),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_damaged_json(tree, words):
    """Whatever is wrong with a tree is told in one line."""
    values = copy.deepcopy(tree.to_json())
    DAMAGES[words](values)
    with pytest.raises(TuillmError, match=words) as caught:
        Tree.from_json(values)
    assert "\n" not in str(caught.value)
    nothings: list[Any] = [None, [], {}, "x"]
    for nothing in nothings:
        with pytest.raises(TuillmError):
            Tree.from_json(nothing)


def test_ways_through_a_session(session):
    """Undo, other words of mine, other words of the model's and going back leave all branches."""
    three = session.tree.head
    whole = session.text
    assert session.undo() == "three" and session.text in whole
    two = session.tree.head
    list(session.edit_mine("deux"))
    assert "two" not in session.text and "\ndeux" in session.text and session.consistent()
    list(session.edit_reply("my words"))
    assert session.tree.nodes[session.tree.head_node.parent].text == "my words"
    assert "deuxmy words" in session.text
    list(session.regenerate())
    assert "my words" in session.text and session.consistent()
    session.goto(three)
    assert session.text == whole
    list(session.reply())
    assert session.text.startswith(whole) and session.consistent()
    assert session.undo() == "" and session.tree.head == three
    assert "two" in {branch.words for branch in session.tree.branches()}
    assert two in session.tree.nodes and session.used[0] <= 32


def test_retry(session):
    """Several replies stand side by side; one given up early stays as far as it came."""
    parent = session.tree.head_node.parent
    for number, tokens in enumerate(session.retry(3)):
        for token in tokens:
            if number == 1 and token.index == 1:
                tokens.close()
                break
    assert [len(node.ids) for node in session.tree.children(parent)] == [5, 5, 2, 5]
    assert [node.stopped for node in session.tree.children(parent)] == [False, False, True, False]
    assert session.tree.head_node is session.tree.children(parent)[-1] and session.consistent()
