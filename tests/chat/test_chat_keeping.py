"""The chat in a real pseudo-terminal: conversations kept, taken up, exported; Ctrl-C anywhere."""

import json
import os
import random
import signal

import pytest
from chat.talking import squeezed

from tuillm import Sampler
from tuillm.chat.conversation.serialize import from_saved
from tuillm.chat.conversation.session import Session
from tuillm.chat.conversation.tree import Tree
from tuillm.config import build_sampling
from tuillm.store.registry import find_model
from tuillm.store.sessions import list_sessions, load_session

PLACES = sorted(random.Random(11).sample(range(1, 400), 10))


@pytest.fixture
def chat(talk):
    """The chat on a small model, with short replies."""
    return talk("--seed", "1", "-n", "12")


@pytest.mark.slow
def test_conversations_are_kept_listed_and_taken_up(chat, talk, kept, home):
    """Each exchange is on disk at once; /sessions lists, /load goes on, --continue the latest."""
    assert chat.say("/sessions") == "no conversation was kept yet"
    assert "there is nothing to keep yet" in chat.say("/save")
    chat.say("Marda said")
    assert [each["session"]["title"] for each in kept()] == ["Marda said"]
    chat.say("/clear")
    chat.say("/set temperature 0.5")
    chat.say("The road")
    chat.say("Алма 漢字")
    (first, second) = [head.id for head in reversed(list_sessions())]
    page = chat.say("/sessions").splitlines()
    assert page[0].split() == [second, "just", "now", "The", "road"]
    assert page[1].split() == [first, "just", "now", "Marda", "said"]
    assert f"kept as {second}; go on with it" in chat.say("/save")
    loaded = chat.say(f"/load {first}")
    assert f"{first}, just now: Marda said" in loaded and "\nMarda said" in loaded
    assert "temperature 0.8" in chat.say("/show").replace("         ", " ")
    assert f"did you mean '{first}'?" in chat.say(f"/load {first}0")
    assert "wants the id" in chat.say("/load")
    chat.say("more")
    chat.leave()
    assert chat.wait_end() == 0
    assert [len(each["tree"]["nodes"]) for each in kept()] == [4, 4]
    again = talk("--continue")
    assert f"{first}, " in again.text and "\nmore" in again.text
    again.say("")
    assert len(load_session(first).tree["nodes"]) == 5, "it is the same conversation"
    assert "Marda said" in again.say("/branches") or "3 long" not in again.text


@pytest.mark.slow
def test_continue_without_a_conversation_begins_one(talk, letters, kept):
    """--continue says that nothing was kept; /load changes to the model of the conversation."""
    chat = talk("--continue", "-n", "5", name=letters)
    assert "no conversation with letters was kept yet" in chat.text
    chat.say("Tib")
    (head,) = list_sessions()
    other = talk("-n", "5")
    assert other.say("/sessions") == "no conversation was kept yet"
    assert head.id in other.say("/sessions all")
    assert "loading letters" in other.say(f"/load {head.id}")
    assert other.toolbar.startswith(" letters ")
    other.say("more")
    assert [each["session"]["model"] for each in kept()] == ["letters"]


@pytest.mark.slow
def test_export_writes_a_page_and_data(chat, tmp_path):
    """As .md for people, as .json with the whole tree; other names and places are refused."""
    assert "there is nothing to write yet" in chat.say("/export a.md")
    chat.say("Marda said")
    reply = chat.say("/regen").partition("32 tokens")[0]
    page, data = tmp_path / "a page.md", tmp_path / "data.json"
    assert "written to" in chat.say(f"/export {page}")
    assert page.read_text().startswith("# Marda said\n\n*book* · temperature 0.8, top\\_k 200\n\n")
    assert "**Marda said**" in page.read_text()
    chat.say(f"/export {data}")
    values = json.loads(data.read_text())
    assert values["model"] == "book" and values["mode"] == "completion"
    assert [turn["who"] for turn in values["turns"]] == ["you", "model"]
    assert squeezed(values["turns"][1]["text"]) == squeezed(reply)
    assert len(Tree.from_json(values["tree"]).nodes) == 3
    assert "is there already" in " ".join(chat.say(f"/export {page}").split())
    assert "there is no folder" in " ".join(chat.say(f"/export {tmp_path}/nope/a.md").split())
    assert not (tmp_path / "nope").exists()
    assert "ends in .md or .json" in " ".join(chat.say("/export story.txt").split())
    assert "ends in .md or .json" in " ".join(chat.say("/export").split())
    assert "there is no folder" in chat.say(f"/export {page}/a.md")


@pytest.mark.slow
def test_no_history_writes_nothing(talk, home):
    """The data directory is after --no-history what it was before; /save is asked for."""

    def files():
        return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    before = files()
    chat = talk("--no-history", "--seed", "1", "-n", "12")
    for line in (
        "Marda said",
        "/regen",
        "/retry 2",
        "/undo",
        "/goto 2",
        "/set profile wild",
        "/mode chat",
        "Who?",
        "/why",
        "/clear",
        "again",
        "/sessions",
    ):
        chat.say(line)
    assert {path.parent.parent.name for path in files().keys() - before.keys()} == {"in-use"}
    chat.leave()
    assert chat.wait_end() == 0
    assert files() == before and not (home / "chats").exists()
    other = talk("--no-history", "-n", "5")
    other.press("\x1b[A")
    other.press("x")
    other.wait("› x")
    other.press("\x7f")
    other.wait(lambda text: other.line == "›")
    other.say("Tib")
    assert "kept as book-" in other.say("/save")
    assert len(list_sessions()) == 1


def into_a_long_reply(chat):
    """Let the model speak without end, and wait for some lines of it."""
    chat.say("/set max_new_tokens 1000000")
    before = chat.row
    chat.type("Marda said")
    chat.wait(lambda text: chat.row > before + 4)


@pytest.mark.slow
def test_a_closed_window_loses_nothing(chat, kept):
    """SIGTERM, or the window closed, in the middle of a reply: what was said up to then is kept."""
    into_a_long_reply(chat)
    os.kill(chat.pid, signal.SIGTERM)
    assert chat.wait_end() == 128 + signal.SIGTERM
    (session,) = kept()
    typed, reply = session["tree"]["nodes"]
    assert typed["text"] == "Marda said" and len(reply["ids"]) > 15 and reply["stopped"]


@pytest.mark.slow
def test_a_hung_up_terminal_keeps_the_conversation(chat, kept):
    """The same when the terminal has gone and can be written on no more."""
    into_a_long_reply(chat)
    chat.hang_up()
    (session,) = kept()
    assert len(session["tree"]["nodes"][1]["ids"]) > 15


@pytest.mark.slow
def test_ctrl_c_at_ten_random_moments(talk, kept, model):
    """Ten replies are stopped anywhere: what was on the screen is what the tree has, each time.

    The session that is loaded again is the one that was never interrupted, had each reply been
    that long by its limit; and so is the reply that comes next.
    """
    chat = talk("--seed", "1", "-n", "100000")
    shown = []
    for place in PLACES:
        before = chat.row
        chat.type("hello")
        chat.wait(lambda text, before=before, place=place: len(chat.since(before)) > place)
        chat.interrupt()
        chat.wait_prompt(before)
        shown.append(chat.since(before).partition("32 tokens of context")[0])
    chat.say("/set max_new_tokens 30")
    last = chat.say("hello").partition("32 tokens of context")[0]
    (head,) = list_sessions()
    session, told = from_saved(load_session(head.id), Sampler(model), find_model(model))
    path = session.tree.path(session.tree.head)
    replies = [node for node in path if node.who == "model"]
    assert told == [] and len(replies) == 11 and all(node.stopped for node in replies[:-1])
    for node, text in zip(replies, [*shown, last], strict=True):
        assert squeezed(node.text) == squeezed(text)
        added = session.sampler.tokenizer.decode(node.ids)
        assert added.encode()[node.prefix_bytes :].decode() == node.text
    undisturbed = Session(Sampler(model), build_sampling({"seed": 1}))
    for node in replies:
        undisturbed.config = build_sampling({"seed": 1, "max_new_tokens": len(node.ids)})
        undisturbed.say("hello")
        list(undisturbed.reply())
        assert undisturbed.consistent()
    assert undisturbed.ids == session.ids
    for each in (session, undisturbed):
        each.config = build_sampling({"seed": 1, "max_new_tokens": 40})
        each.say("and then")
        list(each.reply())
        assert each.consistent()
    assert undisturbed.ids == session.ids
